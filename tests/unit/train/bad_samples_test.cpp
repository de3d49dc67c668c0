#include "bad_samples.h"

#include "catch.h"
#include "cornstarch/base/text.h"

using namespace cornstarch;

namespace {

/// Every tenth sample has a broken picture, sample 15 no text.
class Samples : public dataio::Dataset {
 public:
  std::int64_t size() const override { return 5000; }
  std::int64_t pad_id() const override { return 0; }
  dataio::SampleInfo info(std::int64_t) const override { return {{1}}; }
  Result<dataio::SampleExtents> extents(std::int64_t) const override { return dataio::SampleExtents{{{}}}; }
  Result<dataio::TextRow> text(std::int64_t s) const override {
    if (s == 15) return fail(ExitCode::bad_data, "a.jsonl:16: no text");
    return dataio::TextRow{};
  }
  Result<std::vector<dataio::MediaItem>> media(std::int64_t s, int) const override {
    if (s % 10 == 0)
      return fail(ExitCode::bad_data, cat("a.jsonl:", s + 1, ": '", s, ".png' is broken"), "mend it");
    return std::vector<dataio::MediaItem>{};
  }
};

/// Adds batches of 50 until it gives up; returns after how many samples, and with which words.
std::pair<std::int64_t, std::string> read_all(train::BadSamples& count, std::int64_t size,
                                              std::int64_t bad_until) {
  for (std::int64_t first = 0; first < 5000; first += 50) {
    std::vector<std::int64_t> samples;
    std::vector<double> bad;
    for (std::int64_t i = first; i < first + 50; ++i) {
      samples.push_back(i < size ? i : -1);
      bad.push_back(i < bad_until && (i % 10 == 0 || i == 15) ? 2 : 0);  // two ranks found it so
    }
    try {
      count.add(samples, bad);
    } catch (const Failure& failure) {
      CHECK(failure.error().code == ExitCode::bad_data);
      return {count.read(), failure.error().message + " | " + failure.error().help};
    }
  }
  return {count.read(), ""};
}

}  // namespace

TEST_CASE("a run ends when too many of a thousand samples are bad, with the commonest reason") {
  const Samples data;
  train::BadSamples count(data, 5000, 0.1);
  const auto [read, words] = read_all(count, 5000, 5000);
  CHECK(read == 1000);
  CHECK(words ==
        "101 of 1000 samples that were read are bad, more than data.max_bad_fraction (0.1) allows. Most "
        "often:\n"
        "  a.jsonl:1: '0.png' is broken\n"
        "  a.jsonl:11: '10.png' is broken\n"
        "  a.jsonl:21: '20.png' is broken\n"
        "  and 16 more like these | mend it");
}

TEST_CASE("a small data set is judged when all of it has been read") {
  const Samples data;
  train::BadSamples count(data, 120, 0.01);
  const auto [read, words] = read_all(count, 5000, 5000);
  CHECK(read == 150);
  CHECK(words.starts_with("16 of 150 samples that were read are bad"));
}

TEST_CASE("what is allowed is counted, and places that hold no sample are not") {
  const Samples data;
  train::BadSamples count(data, 5000, 0.011);
  CHECK(read_all(count, 1900, 100) == std::pair<std::int64_t, std::string>{1900, ""});
  CHECK(count.bad() == 11);
  train::BadSamples all(data, 5000, 1);
  CHECK(read_all(all, 5000, 5000).second.empty());
}
