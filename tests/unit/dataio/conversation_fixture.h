#pragma once

#include <functional>
#include <memory>

#include "cornstarch/dataio/conversations.h"
#include "golden.h"

namespace conversations {

using namespace cornstarch::dataio;
using Ids = std::vector<std::int64_t>;

inline Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// So many rows an item.
inline std::function<std::int64_t(const cornstarch::catalog::Extents&)> each(std::int64_t rows) {
  return [rows](const cornstarch::catalog::Extents&) { return rows; };
}

/// A data set in a folder of its own: two pictures, a recording, a tokenizer, and what the test writes.
struct Fixture {
  Fixture() {
    const auto link = [&](const std::string& from, const std::string& to) {
      std::filesystem::copy_file(golden::path(from), folder.path() / to);
    };
    link("pictures/rgb.png", "a.png");
    link("pictures/palette.png", "b.png");
    link("recordings/pcm16.wav", "a.wav");
    link("tokenizer_gpt2.json", "tokenizer.json");
    options.tokenizer = folder.path() / "tokenizer.json";
    options.chat_template = "plain";
    options.sequence_length = 48;
    options.media = {{"<image>", MediaKind::image, each(3), {3, 12, 12}, ""},
                     {"<sound>", MediaKind::audio, each(2), {8, 100}, ""}};
  }

  void file(const std::string& name, const std::string& content, double weight = 1) {
    options.files.push_back({folder.write(name, content), folder.path(), weight});
  }
  std::unique_ptr<ConversationDataset> open() const {
    return cornstarch::value_or_throw(ConversationDataset::open(options));
  }
  /// The message of open() with the folder's name left out.
  std::string problem() const {
    const auto opened = ConversationDataset::open(options);
    return opened ? "" : without_folder(opened.error().message);
  }
  std::string without_folder(std::string text) const {
    const std::string name = folder.path().string() + "/";
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name))
      text.erase(at, name.size());
    return text;
  }
  Ids ids(const std::string& text) const {
    return *cornstarch::value_or_throw(Tokenizer::load(options.tokenizer)).encode(text);
  }

  golden::Folder folder;
  ConversationOptions options;
};

inline const std::string kSeen = R"({"conversations": [{"from": "human", "value": "<image>\nWhat is it?"},)"
                                 R"( {"from": "gpt", "value": "seven"}], "image": "a.png"})";
inline const std::string kText =
    R"({"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi"}]})";

}  // namespace conversations
