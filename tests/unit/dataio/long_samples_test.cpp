#include "catch.h"
#include "conversation_fixture.h"
#include "cornstarch/base/text.h"

using namespace conversations;

namespace {

/// Rows of six tokens.
struct ShortRows : Fixture {
  ShortRows() {
    options.sequence_length = 6;
    options.cut_long = true;
    options.media.resize(1);
  }
};

}  // namespace

TEST_CASE("a sample that is too long is cut behind its media, and only where something is left to learn") {
  ShortRows f;
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
