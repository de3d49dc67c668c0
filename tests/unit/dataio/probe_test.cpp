#include "cornstarch/dataio/probe.h"

#include <numeric>
#include <set>

#include "catch.h"

using namespace cornstarch;
using namespace cornstarch::dataio;

namespace {

/// Sample 3 has a text that cannot be read, 5 a broken picture, 6 and 7 a long recording, 8 a long text.
class Samples : public Dataset {
 public:
  std::int64_t size() const override { return 10; }
  std::int64_t pad_id() const override { return 0; }
  SampleInfo info(std::int64_t) const override { return {{1, 1}}; }
  Result<SampleExtents> extents(std::int64_t) const override { return SampleExtents{{{}}, {{}}}; }
  Result<TextRow> text(std::int64_t s) const override {
    if (s == 3) return fail(ExitCode::bad_data, "a.jsonl:4: no text");
    return TextRow{{1, 2, 0}, {kIgnoreLabel, 2, kIgnoreLabel}, 2, s == 8};
  }
  Result<std::vector<MediaItem>> media(std::int64_t s, int encoder) const override {
    if (s == 5 && encoder == 0) return fail(ExitCode::io, "a.jsonl:6: no picture", "mend it");
    return std::vector<MediaItem>{{{}, {}, encoder == 1 && (s == 6 || s == 7)}};
  }
};

}  // namespace

TEST_CASE("samples to look at: the first, and some of the others") {
  CHECK(some_samples(0, 8, 1).empty());
  CHECK(some_samples(5, 8, 1) == std::vector<std::int64_t>{0, 1, 2, 3, 4});
  const auto some = some_samples(1000000, 32, 1);
  REQUIRE(some.size() == 32);
  std::vector<std::int64_t> first(16);
  std::iota(first.begin(), first.end(), 0);
  CHECK(std::vector<std::int64_t>(some.begin(), some.begin() + 16) == first);
  CHECK(std::set<std::int64_t>(some.begin(), some.end()).size() == 32);
  CHECK(some[16] >= 16);
  CHECK(some.back() > 500000);
  CHECK(some.back() < 1000000);
  CHECK(some_samples(1000000, 32, 1) == some);
  CHECK(some_samples(1000000, 32, 2) != some);
}

TEST_CASE("a probe reads samples whole") {
  const Samples data;
  for (const int workers : {1, 4}) {
    const Probe found = probe(data, some_samples(10, 10, 0), workers);
    CHECK(found.samples == 10);
    CHECK(found.targets == 8);
    CHECK(found.cut == 2);
    CHECK(found.first_cut == 6);
    CHECK(found.cut_texts == 1);
    CHECK(found.first_cut_text == 8);
    REQUIRE(found.problems.size() == 2);
    CHECK(found.problems[0].message == "a.jsonl:4: no text");
    CHECK(found.problems[1].help == "mend it");
  }
  CHECK(trouble_with(data, 5)->message == "a.jsonl:6: no picture");
  CHECK_FALSE(trouble_with(data, 6));
}

TEST_CASE("problems are alike if they differ in places, names and numbers only") {
  const auto problem = [](const std::string& message) { return Error{ExitCode::bad_data, message, {}}; };
  const Error one = problem("a.jsonl:1: the sample is 70 tokens long"),
              two = problem("b.jsonl:20: 'x.png': broken"), three = problem("b.jsonl:3: 'y1.png': broken"),
              four = problem("b.jsonl:4: 'z.png': broken"), five = problem("b.jsonl:5: '5.png': broken"),
              six = problem("a.jsonl:9: the sample is 8 tokens long");
  CHECK(commonest({}).empty());
  CHECK(commonest({one}) == "  a.jsonl:1: the sample is 70 tokens long");
  CHECK(commonest({two, one}) == "  b.jsonl:20: 'x.png': broken");
  CHECK(commonest({one, two, six, three, four, five}) ==
        "  b.jsonl:20: 'x.png': broken\n  b.jsonl:3: 'y1.png': broken\n  b.jsonl:4: 'z.png': broken\n"
        "  and 1 more like these");
  CHECK(commonest({two, one, six}) ==
        "  a.jsonl:1: the sample is 70 tokens long\n  a.jsonl:9: the sample is 8 tokens long");
}
