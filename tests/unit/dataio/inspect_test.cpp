#include "cornstarch/dataio/inspect.h"

#include "catch.h"
#include "conversation_fixture.h"
#include "cornstarch/dataio/preprocess.h"

using namespace cornstarch;
using namespace cornstarch::dataio;
using conversations::Fixture;

namespace {

std::vector<std::vector<double>> rows(const std::vector<Spread::Bar>& bars) {
  std::vector<std::vector<double>> out;
  for (const Spread::Bar& bar : bars) out.push_back({bar.from, bar.to, static_cast<double>(bar.count)});
  return out;
}

}  // namespace

TEST_CASE("a spread knows its ends, its mean and its quantiles, and counts in round intervals") {
  Spread spread;
  CHECK(spread.bars(5).empty());
  for (int i = 1; i <= 100; ++i) spread.add(i);
  CHECK(spread.count() == 100);
  CHECK(spread.min() == 1);
  CHECK(spread.max() == 100);
  CHECK(spread.mean() == 50.5);
  CHECK(spread.quantile(0.5) == 50);
  CHECK(spread.quantile(0.95) == 95);
  CHECK(rows(spread.bars(12)) == std::vector<std::vector<double>>{{0, 10, 9},
                                                                  {10, 20, 10},
                                                                  {20, 30, 10},
                                                                  {30, 40, 10},
                                                                  {40, 50, 10},
                                                                  {50, 60, 10},
                                                                  {60, 70, 10},
                                                                  {70, 80, 10},
                                                                  {80, 90, 10},
                                                                  {90, 100, 10},
                                                                  {100, 110, 1}});
  CHECK(spread.bars(10).size() == 6);
}

TEST_CASE("a spread of few values tells each, and gaps between them") {
  Spread spread;
  for (const int value : {1, 1, 3}) spread.add(value);
  CHECK(rows(spread.bars(12)) == std::vector<std::vector<double>>{{1, 2, 2}, {2, 3, 0}, {3, 4, 1}});
  Spread seconds(0.1);
  for (const double value : {0.5, 0.55, 0.7}) seconds.add(value);
  CHECK(seconds.bars(12).size() == 3);
  CHECK(seconds.bars(12)[0].count == 2);
}

TEST_CASE("a spread of any number of values takes no more memory, and loses none") {
  Spread spread;
  for (std::int64_t i = 0; i < 300'000; ++i) spread.add(static_cast<double>(i * 7));
  CHECK(spread.count() == 300'000);
  CHECK(spread.quantile(0.5) == Approx(1'050'000).epsilon(1e-3));
  std::int64_t all = 0;
  for (const Spread::Bar& bar : spread.bars(12)) all += bar.count;
  CHECK(all == 300'000);
}

TEST_CASE("samples are looked at whole: what they hold, what is cut, what is bad") {
  Fixture data;
  data.file("a.jsonl",
            conversations::kSeen + "\n" + conversations::kText + "\n" +
                R"({"conversations": [{"from": "human", "value": "<image><image><sound>"},)"
                R"( {"from": "gpt", "value": "two"}], "images": ["a.png", "b.png"], "audio": "a.wav"})" +
                "\n" + R"({"conversations": [{"from": "human", "value": "<image>"},)" +
                R"( {"from": "gpt", "value": "no"}], "image": "tokenizer.json"})" + "\n");
  data.options.max_bad_fraction = 1;
  data.options.cut_long = true;
  const auto whole = data.open();
  const Inspection all = inspect(*whole, 100, 1, 3);
  CHECK(all.samples == 4);
  CHECK(all.looked_at == 4);
  CHECK(all.bad.samples == 1);
  CHECK(data.without_folder(all.bad.first) == "a.jsonl:4");
  REQUIRE(all.problems.size() == 1);
  CHECK(data.without_folder(all.problems[0].message).starts_with("a.jsonl:4: 'tokenizer.json': "));
  CHECK(all.tokens.count() == 3);
  REQUIRE(all.encoders.size() == 2);
  CHECK(rows(all.encoders[0].items.bars(5)) ==
        std::vector<std::vector<double>>{{0, 1, 1}, {1, 2, 1}, {2, 3, 1}});
  CHECK(all.encoders[0].features.min() == 3);
  CHECK(all.encoders[0].width.count() == 3);
  CHECK(all.encoders[1].seconds.count() == 1);
  CHECK(all.cut.samples == 0);
  std::int64_t learnt = 0;
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto row = value_or_throw(whole->text(i));
    for (const std::int64_t label : row.labels) learnt += label == kIgnoreLabel ? 0 : 1;
  }
  CHECK(all.learnt.mean() * 3 == Approx(static_cast<double>(learnt)));

  const auto length = static_cast<std::int64_t>(value_or_throw(whole->whole_text(1)).ids.size());
  data.options.sequence_length = length - 1;
  const Inspection cut = inspect(*data.open(), 100, 1, 2);
  CHECK(cut.cut.samples + cut.bad.samples >= 1);
}

TEST_CASE("some of the samples can be looked at, the same for any number of threads") {
  Fixture data;
  std::string lines;
  for (int i = 0; i < 50; ++i) lines += conversations::kText + "\n";
  data.file("a.jsonl", lines);
  const auto whole = data.open();
  std::int64_t told = 0;
  const Inspection some = inspect(*whole, 10, 1, 4, [&](std::int64_t n) { told += n; });
  CHECK(some.samples == 50);
  CHECK(some.looked_at == 10);
  CHECK(told == 10);
}

TEST_CASE("what an encoder gets of a picture can be seen: its colours, upright") {
  Fixture data;
  data.file("a.jsonl", conversations::kSeen + "\n");
  const auto whole = data.open();
  const auto files = value_or_throw(whole->files(0, 0));
  const auto items = value_or_throw(whole->media(0, 0));
  REQUIRE(files.size() == 1);
  CHECK(files[0].name == "a.png");
  const Image original = value_or_throw(read_image(data.folder.path() / "a.png"));
  CHECK(files[0].width == original.width);
  const Image seen = whole->picture_of(items[0], files[0].extents, 0);
  CHECK(seen.width == 12);
  CHECK(seen.height == 12);
  const auto again = value_or_throw(decode_image(value_or_throw(encode_png(seen))));
  CHECK(again.rgb == seen.rgb);
  const auto processor = value_or_throw(ImagePreprocessor::parse(whole->preprocessor_json(0), {3, 12, 12}));
  const auto table = processor.table();
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < 144; ++i)
      CHECK(table[c][seen.rgb[3 * i + c]] == Approx(items[0].values[144 * c + i]).margin(1e-5));
}

TEST_CASE("patches become the picture that they were cut from") {
  Fixture data;
  data.file("a.jsonl", conversations::kSeen + "\n");
  data.options.media[0] = {"<image>",
                           MediaKind::image,
                           [](const catalog::Extents& e) { return e.places() / 4; },
                           {3, 2, 4, 4},
                           R"({"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 4,
                           "temporal_patch_size": 2, "merge_size": 2, "min_pixels": 256, "max_pixels": 1024})",
                           std::nullopt,
                           2};
  const auto whole = data.open();
  const auto files = value_or_throw(whole->files(0, 0));
  const auto items = value_or_throw(whole->media(0, 0));
  const Image seen = whole->picture_of(items[0], files[0].extents, 0);
  CHECK(seen.width == files[0].extents.w * 4);
  CHECK(seen.height == files[0].extents.h * 4);
  const Image original = value_or_throw(read_image(data.folder.path() / "a.png"));
  CHECK(seen.rgb == resize(original, seen.width, seen.height, Filter::bicubic).rgb);
}

TEST_CASE("a spectrogram is seen in grey, low tones at the bottom") {
  Fixture data;
  data.file("a.jsonl",
            R"({"conversations": [{"from": "human", "value": "<sound>"}, {"from": "gpt", "value": "x"}],)"
            R"( "audio": "a.wav"})"
            "\n");
  const auto whole = data.open();
  const auto items = value_or_throw(whole->media(0, 1));
  const Image seen = whole->picture_of(items[0], {}, 1);
  CHECK(seen.width == 100);
  CHECK(seen.height == 8);
  const auto loudest =
      std::max_element(items[0].values.begin(), items[0].values.end()) - items[0].values.begin();
  const auto at = static_cast<std::size_t>(3 * ((7 - loudest / 100) * 100 + loudest % 100));
  CHECK(seen.rgb[at] == 255);
}
