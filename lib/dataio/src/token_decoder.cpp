#include "token_decoder.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "cornstarch/base/text.h"
#include "unicode.h"

namespace cornstarch::dataio {
namespace {

using Tokens = std::vector<std::string>;

void apply(const LettersToBytes&, Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += bytes_of_letters(token);
  tokens = {lossy_utf8(bytes)};
}

std::optional<char> byte_of(std::string_view token) {
  unsigned byte = 0;
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

void apply(const BytesToText&, Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto end_bytes = [&] {
    if (is_utf8(bytes)) {
      if (!bytes.empty()) out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (std::string& token : tokens) {
    if (const auto byte = byte_of(token)) {
      bytes += *byte;
      continue;
    }
    end_bytes();
    out.push_back(std::move(token));
  }
  end_bytes();
  tokens = std::move(out);
}

void apply(const Fuse&, Tokens& tokens) { tokens = {join(tokens, "")}; }

void apply(const Strip& strip, Tokens& tokens) {
  for (std::string& token : tokens) {
    for (std::size_t i = 0; i < strip.start && token.starts_with(strip.character); ++i)
      token.erase(0, strip.character.size());
    for (std::size_t i = 0; i < strip.stop && token.ends_with(strip.character); ++i)
      token.resize(token.size() - strip.character.size());
  }
}

std::string replaced(std::string_view text, std::string_view what, std::string_view with) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t next; (next = text.find(what, at)) != std::string_view::npos; at = next + what.size()) {
    out += text.substr(at, next - at);
    out += with;
  }
  return out += text.substr(at);
}

void apply(const SpacesOfMetaspace& step, Tokens& tokens) {
  bool first = true;
  for (std::string& token : tokens) {
    token = replaced(token, step.replacement, first && step.drop_first ? "" : " ");
    first = false;
  }
}

void apply(const Replace& replace, Tokens& tokens) {
  for (std::string& token : tokens) {
    MarkedText text;
    text.append(token, false);
    auto done = replace_all(replace, text);
    if (done) token = std::move(done->text);  // a pattern that would take for ever leaves it as it is
  }
}

}  // namespace

std::string decode(const std::vector<DecoderStep>& steps, Tokens tokens) {
  for (const DecoderStep& step : steps) std::visit([&](const auto& kind) { apply(kind, tokens); }, step);
  return join(tokens, steps.empty() ? " " : "");
}

}  // namespace cornstarch::dataio
