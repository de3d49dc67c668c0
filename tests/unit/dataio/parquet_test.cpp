#include "parquet.h"

#include "catch.h"
#include "conversation_fixture.h"
#include "cornstarch/base/files.h"

using namespace cornstarch;
using namespace cornstarch::dataio;

namespace {

/// Says why nothing is tested.
bool skipped() {
  if (!reads_parquet()) WARN("skipped: this build has no Arrow to read Parquet with");
  return !reads_parquet();
}

struct Tables : conversations::Fixture {
  void table(const std::string& name) {
    options.files.push_back({golden::path("tables/" + name), folder.path()});
  }
  std::string said(std::string text) const {
    const std::string name = golden::path("tables").string() + "/";
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name))
      text.erase(at, name.size());
    return without_folder(text);
  }
};

/// That the first half of the samples is the second.
void check_halves(const ConversationDataset& data) {
  REQUIRE(data.size() % 2 == 0);
  for (std::int64_t i = 0, half = data.size() / 2; i < half; ++i) {
    CAPTURE(i);
    CHECK(data.info(i).items == data.info(half + i).items);
    const TextRow row = value_or_throw(data.text(i)), same = value_or_throw(data.text(half + i));
    CHECK(row.ids == same.ids);
    CHECK(row.labels == same.labels);
    for (const int encoder : {0, 1}) {
      const auto items = value_or_throw(data.media(i, encoder)),
                 others = value_or_throw(data.media(half + i, encoder));
      REQUIRE(items.size() == others.size());
      for (std::size_t n = 0; n < items.size(); ++n) CHECK(items[n].values == others[n].values);
    }
  }
}

}  // namespace

TEST_CASE("rows of a table are the samples that lines are") {
  if (skipped()) return;
  Tables t;
  t.table("messages.parquet");
  t.file(
      "a.jsonl",
      R"({"messages": [{"role": "user", "content": "<image>\nWhat is it?"}, {"role": "assistant", "content": "seven"}], "image": "a.png"}
{"messages": [{"role": "user", "content": "<image><image>"}, {"role": "assistant", "content": "both"}], "images": ["a.png", "b.png"]}
{"messages": [{"role": "user", "content": "Hello △"}, {"role": "assistant", "content": "Hi \"you\""}]}
{"messages": [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "from a folder"}], "image": "b.png"})");
  const auto data = t.open();
  REQUIRE(data->size() == 8);
  check_halves(*data);
  CHECK(t.said(data->place(3)) == "messages.parquet:4");
}

TEST_CASE("what a row's structs have none of is null, and left out") {
  if (skipped()) return;
  Tables t;
  t.table("parts.parquet");
  t.file(
      "a.jsonl",
      R"({"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}, )"
      R"({"role": "assistant", "content": "a guess", "weight": 0}, {"role": "user", "content": "Again?"}, )"
      R"({"role": "assistant", "content": "seven"}], "image": "a.png"})");
  check_halves(*t.open());
}

TEST_CASE("turns may be JSON, media paths or bytes alone; a broken row is bad by its place") {
  if (skipped()) return;
  Tables t;
  t.table("json.parquet");
  CHECK(t.said(t.problem()).starts_with("json.parquet:3: not JSON at byte "));
  t.options.max_bad_fraction = 0.5;
  const auto data = t.open();
  REQUIRE(data->size() == 3);
  CHECK(data->info(0).items == std::vector<int>{1, 0});
  CHECK(data->info(1).items == std::vector<int>{0, 1});
  CHECK(data->media(0, 0).value().size() == 1);
  CHECK(data->media(1, 1).value().size() == 1);
  CHECK(t.said(data->text(2).error().message).starts_with("json.parquet:3: not JSON at byte "));
}

TEST_CASE("tables that cannot be read are named") {
  Tables t;
  t.table("other.parquet");
  if (!reads_parquet()) {
    CHECK(
        t.said(t.problem()) ==
        "'other.parquet' is a Parquet file; a data set is a .jsonl file, a .json list or a .tar of samples");
    return;
  }
  CHECK(t.said(t.problem()) ==
        "'other.parquet' has no column 'conversations' or 'messages': it has question, answer");
  const std::string whole = read_file(golden::path("tables/messages.parquet"), 1 << 20).value();
  for (const std::size_t left : {std::size_t{4}, whole.size() / 2, whole.size() - 1}) {
    Tables cut;
    cut.file("cut.parquet", whole.substr(0, left));
    CHECK(cut.problem().starts_with("'cut.parquet' is no Parquet file that can be read: "));
  }
  Tables wrong;
  std::string changed = whole;
  for (std::size_t at = 4; at < 400; ++at) changed[at] = static_cast<char>(changed[at] ^ 0x55);
  wrong.file("wrong.parquet", changed);
  CHECK(wrong.problem().starts_with("'wrong.parquet' is no Parquet file that can be read: "));
}
