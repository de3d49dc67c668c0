#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/conversations.h"
#include "golden.h"

using namespace cornstarch::dataio;
using Ids = std::vector<std::int64_t>;

namespace {

/// A data set of rows of six tokens, with a picture of three features.
struct Fixture {
  Fixture() {
    std::filesystem::copy_file(golden::path("pictures/rgb.png"), folder.path() / "a.png");
    std::filesystem::copy_file(golden::path("tokenizer_gpt2.json"), folder.path() / "tokenizer.json");
    options.tokenizer = folder.path() / "tokenizer.json";
    options.chat_template = "plain";
    options.sequence_length = 6;
    options.cut_long = true;
    options.media = {{"<image>",
                      MediaKind::image,
                      [](const cornstarch::catalog::Extents&) { return std::int64_t{3}; },
                      {3, 12, 12},
                      ""}};
  }
  void file(const std::string& name, const std::string& content) {
    options.files.push_back({folder.write(name, content), folder.path(), 1});
  }
  std::unique_ptr<ConversationDataset> open() const {
    return cornstarch::value_or_throw(ConversationDataset::open(options));
  }
  std::string without_folder(const std::string& text) const {
    return text.substr(folder.path().string().size() + 1);
  }
  Ids ids(const std::string& text) const {
    return *cornstarch::value_or_throw(Tokenizer::load(options.tokenizer)).encode(text);
  }

  golden::Folder folder;
  ConversationOptions options;
};

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("a sample that is too long is cut behind its media, and only where something is left to learn") {
  Fixture f;
  f.file(
      "train.jsonl",
      R"({"conversations": [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "one two three four five"}], "image": "a.png"})"
      "\n"
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b c d<image>"}], "image": "a.png"})"
      "\n"
      R"({"conversations": [{"from": "human", "value": "a long question"}, {"from": "gpt", "value": "b"}]})"
      "\n"
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})"
      "\n");
  const auto dataset = f.open();
  const auto row = dataset->text(0);
  REQUIRE(row);
  const Ids answer = f.ids("one two three four five");
  CHECK(row->ids == Ids{-1, -1, -1} + f.ids("\n") + Ids(answer.begin(), answer.begin() + 2));
  CHECK(row->labels == Ids(4, -100) + Ids(answer.begin(), answer.begin() + 2));
  CHECK(row->length == 6);
  CHECK(row->cut);
  const auto media = dataset->text(1), learnt = dataset->text(2), fits = dataset->text(3);
  REQUIRE_FALSE(media);
  REQUIRE_FALSE(learnt);
  CHECK(f.without_folder(media.error().message) ==
        cornstarch::cat(
            "train.jsonl:2: the sample is ", f.ids("a\n").size() + f.ids("b c d").size() + 4,
            " tokens long, 3 of them for media; sequence_length is 6: media stand behind what fits, so that "
            "it cannot be cut there"));
  CHECK(f.without_folder(learnt.error().message) ==
        cornstarch::cat(
            "train.jsonl:3: the sample is ", f.ids("a long question\n").size() + 2,
            " tokens long, 0 of them for media; sequence_length is 6: nothing to learn stands in what fits"));
  CHECK_FALSE(fits->cut);
}
