#pragma once

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/templates/value.h"

/// What tests/golden/make_templates.py wrote.
namespace chat_golden {

using Json = nlohmann::ordered_json;
using cornstarch::templates::Named;
using cornstarch::templates::Value;

inline std::filesystem::path path(const std::string& name) {
  return std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden" / "templates" / name;
}

inline std::string text_of(const std::string& name) {
  std::ifstream in(path(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The files keep hashes of texts.
inline std::string fnv(const std::string& text) {
  std::uint32_t value = 2166136261u;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 16777619u;
  std::array<char, 9> out;
  std::snprintf(out.data(), out.size(), "%08x", value);
  return out.data();
}

/// Conversations, and what published templates make of them.
class Conversations {
 public:
  Conversations() : content_(Json::parse(text_of("conversations.json"))) {}

  std::size_t size() const { return content_["conversations"].size(); }
  const Json& templates() const { return content_["templates"]; }
  std::string text(const Json& piece) const {
    return content_["pieces"][piece.get<std::size_t>()].get<std::string>();
  }
  /// As pairs of a role and the text; of a list of parts `parts` makes what `text` is.
  std::vector<std::pair<std::string, std::string>> turns(std::size_t i) const {
    static const std::map<std::string, std::string> kNames = {
        {"s", "system"}, {"u", "user"}, {"a", "assistant"}};
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& turn : content_["conversations"][i]) {
      std::string said;
      for (const auto& piece : turn[1]) said += text(piece);
      out.emplace_back(kNames.at(turn[0].get<std::string>()), said);
    }
    return out;
  }
  /// As templates take them: each piece a part of its own, or texts.
  std::vector<Named> variables(std::size_t i, bool parts) const {
    std::vector<Value> messages;
    const auto names = turns(i);
    for (std::size_t t = 0; t < names.size(); ++t) {
      std::vector<Value> content;
      for (const auto& piece : content_["conversations"][i][t][1]) {
        const std::string said = text(piece);
        content.push_back(said == "<image>" ? Value::dict({{"type", "image"}})
                                            : Value::dict({{"type", "text"}, {"text", said}}));
      }
      messages.push_back(
          Value::dict({{"role", names[t].first},
                       {"content", parts ? Value::list(std::move(content)) : names[t].second}}));
    }
    return {{"messages", Value::list(std::move(messages))},
            {"tools", {}},
            {"documents", {}},
            {"add_generation_prompt", names.back().first == "user"},
            {"bos_token", content_["bos_token"].get<std::string>()},
            {"eos_token", content_["eos_token"].get<std::string>()}};
  }
  /// Per conversation the hash of its text, or "!" and the template's own words for why it refuses it.
  std::vector<std::string> results(const std::string& name, const std::string& form) const {
    const Json& made = content_["templates"][name][form];
    const auto hashes = made["hashes"].get<std::string>();
    std::vector<std::string> out;
    for (std::size_t at = 0; at < hashes.size();) {
      const bool refused = hashes[at] == '!';
      out.push_back(refused
                        ? made["errors"][static_cast<std::size_t>(hashes[at + 1] - '0')].get<std::string>()
                        : hashes.substr(at, 8));
      at += refused ? 2 : 8;
    }
    return out;
  }

 private:
  Json content_;
};

}  // namespace chat_golden
