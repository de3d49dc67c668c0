#include "catch.h"
#include "conversation_fixture.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/image.h"
#include "cornstarch/dataio/preprocess.h"
#include "cornstarch/dataio/sampler.h"

using cornstarch::cat;
using namespace conversations;

TEST_CASE("a weight repeats the first samples or leaves the last ones out") {
  Fixture f;
  f.file("a.jsonl", kText + "\n" + kSeen + "\n" + kText + "\n", 1.7);  // 5
  f.file("b.jsonl", kSeen + "\n" + kText + "\n", 0.5);                 // 1
  f.file("c.jsonl", kText, 0);
  const auto dataset = f.open();
  REQUIRE(dataset->size() == 6);
  std::vector<int> images;
  for (int i = 0; i < 6; ++i) images.push_back(dataset->info(i).items[0]);
  CHECK(images == std::vector<int>{0, 1, 0, 0, 1, 1});
  CHECK_THROWS_WITH(dataset->info(6), "sample 6 of a data set of 6");
}

namespace {

std::string numbered(int i) {
  return cat(R"({"conversations": [{"from": "human", "value": "Say )", i, R"("}, {"from": "gpt", "value": ")",
             i, R"("}], "id": )", i, "}\n");
}

/// What the samples answer, in the data set's order.
std::vector<int> answers(const ConversationDataset& data) {
  std::vector<int> out;
  for (std::int64_t i = 0; i < data.size(); ++i)
    out.push_back(std::stoi(cornstarch::value_or_throw(data.question(i)).answer));
  return out;
}

/// The numbers that `hold_out` leaves in a portion of the lines, sorted unless `as_it_is`.
std::vector<int> portion_of(const std::vector<std::string>& files, double hold_out, Portion portion,
                            bool as_it_is = false) {
  Fixture f;
  for (std::size_t i = 0; i < files.size(); ++i) {
    f.file(cat("f", i, files[i].starts_with("[") ? ".json" : ".jsonl"), files[i]);
    f.options.files.back().portion = portion;
  }
  f.options.hold_out = hold_out;
  std::vector<int> out = answers(*f.open());
  if (!as_it_is) std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("a data set takes at most so many samples, the first ones, and its weight counts these") {
  Fixture f;
  std::string lines;
  for (int i = 0; i < 6; ++i) lines += numbered(i);
  f.file("a.jsonl", lines, 1.5);
  f.options.files.back().max_samples = 4;
  f.file("b.jsonl", numbered(7));
  f.options.files.back().max_samples = 100;
  CHECK(answers(*f.open()) == std::vector<int>{0, 1, 2, 3, 0, 1, 7});
}

TEST_CASE("several files are one data set, in the order of their names") {
  Fixture f;
  f.folder.write("p-00.jsonl", numbered(0) + numbered(1));
  f.folder.write("p-01.json", "[\n]");
  f.folder.write("p-02.jsonl", numbered(2));
  f.folder.write("p-10.jsonl", numbered(3) + numbered(4) + numbered(5));
  const auto add = [&](const std::string& pattern, double weight, std::optional<std::int64_t> most = {}) {
    f.options.files.push_back({f.folder.path() / pattern, {}, weight, Portion::all, most});
  };
  add("p-*", 0.75);  // of 6, 4.5 rounded up
  const auto data = f.open();
  CHECK(answers(*data) == std::vector<int>{0, 1, 2, 3, 4});
  CHECK(f.without_folder(data->place(3)) == "p-10.jsonl:1");
  f.options.files.clear();
  add("p-{10,00}.jsonl", 1, 4);
  CHECK(answers(*f.open()) == std::vector<int>{3, 4, 5, 0});
  f.options.files.clear();
  add("p-{00..02}.jsonl", 1);
  CHECK(f.problem() == "'p-01.jsonl' does not exist, of 3 that 'p-{00..02}.jsonl' names");
  f.options.files.clear();
  add("p-?1.*", 1);
  CHECK(f.problem() == "p-?1.*: no samples");
}

TEST_CASE("media stand beside the file that names them where no folder is given") {
  Fixture f;
  std::filesystem::create_directories(f.folder.path() / "0");
  std::filesystem::rename(f.folder.path() / "b.png", f.folder.path() / "0" / "a.png");
  f.folder.write("0/s.jsonl", kSeen);
  f.options.files.push_back({f.folder.path() / "[0-9]" / "s.jsonl", {}, 1});
  const auto expected =
      (*ImagePreprocessor::parse("", {3, 12, 12}))(*read_image(f.folder.path() / "0" / "a.png"));
  CHECK((*f.open()->media(0, 0)).at(0).values == expected->values);
}

TEST_CASE("what is held out depends on what a sample says alone") {
  std::vector<std::string> lines;
  for (int i = 0; i < 1000; ++i) lines.push_back(numbered(i));
  std::string straight, reverse, list = "[";
  for (int i = 0; i < 1000; ++i) {
    const auto at = static_cast<std::size_t>(i);
    straight += lines[at];
    reverse += lines[999 - at];
    // Spelt otherwise, and with other keys that nothing reads.
    const auto sample = nlohmann::json::parse(lines[at]);
    list +=
        (i > 0 ? ",\n" : "") + nlohmann::json{{"messages", sample["conversations"]}, {"source", "x"}}.dump(2);
  }
  const std::vector<int> held = portion_of({straight}, 0.1, Portion::held_out);
  CHECK(held.size() == 109);  // a draw each
  CHECK(portion_of({reverse}, 0.1, Portion::held_out) == held);
  CHECK(portion_of({list + "]"}, 0.1, Portion::held_out) == held);
  // More data moves none from one side to the other.
  std::string more = straight;
  for (int i = 1000; i < 1500; ++i) more += numbered(i);
  std::vector<int> of_more = portion_of({more}, 0.1, Portion::held_out);
  std::erase_if(of_more, [](int i) { return i >= 1000; });
  CHECK(of_more == held);
  // The others are all that is left, in their order, and a larger share holds what a smaller one held.
  const std::vector<int> kept = portion_of({straight}, 0.1, Portion::kept, true);
  CHECK(std::is_sorted(kept.begin(), kept.end()));
  std::vector<int> both = kept;
  both.insert(both.end(), held.begin(), held.end());
  std::sort(both.begin(), both.end());
  for (int i = 0; i < 1000; ++i) REQUIRE(both.at(static_cast<std::size_t>(i)) == i);
  const std::vector<int> larger = portion_of({straight}, 0.3, Portion::held_out);
  CHECK(std::includes(larger.begin(), larger.end(), held.begin(), held.end()));
}

TEST_CASE("so many samples are held out, over all files; copies stay together") {
  std::string a, b;
  for (int i = 0; i < 600; ++i) (i % 3 == 0 ? a : b) += numbered(i);
  const std::vector<int> held = portion_of({a, b}, 50, Portion::held_out);
  CHECK(held.size() == 50);
  CHECK(portion_of({b, a}, 50, Portion::held_out) == held);
  CHECK(portion_of({a + b}, 50, Portion::held_out) == held);
  CHECK(portion_of({a, b}, 50, Portion::kept).size() == 550);
  const std::vector<int> twice = portion_of({a + b, b + a}, 50, Portion::held_out);
  for (std::size_t i = 0; i < twice.size(); i += 2) CHECK(twice.at(i) == twice.at(i + 1));
  CHECK(twice.size() == 50);
  Fixture f;
  f.file("a.jsonl", a);
  f.options.files.back().portion = Portion::kept;
  f.options.hold_out = 200;
  CHECK(f.problem() == "eval.hold_out: 200 of 200 samples leave none to train on");
  f.options.files.back().portion = Portion::held_out;
  f.options.hold_out = 1e-9;
  CHECK(f.problem() == "the data set has no samples: eval.hold_out is 1e-09");
}

TEST_CASE("what is bad stays in what is trained on, and the whole of a data set beside it stays whole") {
  Fixture f;
  std::string lines = "7\n";
  for (int i = 0; i < 300; ++i) lines += numbered(i);
  f.file("a.jsonl", lines);
  f.options.files.back().portion = Portion::held_out;
  f.file("b.jsonl", numbered(1000) + numbered(1001));
  f.options.hold_out = 0.999;
  const auto held = answers(*f.open());
  CHECK(held.size() == 302);
  CHECK(std::vector<int>(held.end() - 2, held.end()) == std::vector<int>{1000, 1001});
  f.options.files[0].portion = Portion::kept;
  CHECK(f.problem() == "a.jsonl:1: the sample is a number, not an object");
}

TEST_CASE("what is bad is not held out, however many are wanted") {
  Fixture f;
  std::string lines;
  for (int i = 0; i < 8; ++i) lines += numbered(i);
  std::string unplaced;  // each names a picture, but has no placeholder
  for (int i = 0; i < 50; ++i) {
    auto sample = nlohmann::json::parse(numbered(i + 100));
    sample["image"] = "a.png";
    unplaced += sample.dump() + "\n";
  }
  f.file("a.jsonl", lines + unplaced);
  f.options.files.back().portion = Portion::held_out;
  for (const double hold_out : {0.9999, 7.0}) {
    f.options.hold_out = hold_out;
    for (const int answer : answers(*f.open())) CHECK(answer < 8);
  }
  CHECK(answers(*f.open()).size() == 7);

  Fixture g;
  g.file("a.jsonl", "7\n" + lines + "8\n");
  for (const Portion portion : {Portion::held_out, Portion::kept}) {
    g.options.files.back().portion = portion;
    for (const double hold_out : {8.0, 9.0}) {
      g.options.hold_out = hold_out;
      CHECK(g.problem() ==
            cat("eval.hold_out: ", hold_out, " of 8 samples leave none to train on; 2 more cannot be used"));
    }
  }
  Fixture h;
  h.file("a.jsonl", "7\n8\n");
  h.options.files.back().portion = Portion::kept;
  h.options.hold_out = 1;
  CHECK(h.problem().find("a.jsonl:1: the sample is a number, not an object") != std::string::npos);
}

TEST_CASE("the order of samples is the same for any number of replicas, and after going on") {
  Fixture f;
  std::string a, b;
  for (int i = 0; i < 31; ++i) a += numbered(i);
  for (int i = 100; i < 117; ++i) b += numbered(i);
  f.file("a.jsonl", a, 1.6);
  f.file("b.jsonl", b, 0.4);
  for (auto& file : f.options.files) file.portion = Portion::kept;
  f.options.hold_out = 0.2;
  const auto data = f.open();
  const std::vector<int> all = answers(*data);
  const Sampler sampler(data->size(), 12, true, 5);
  const auto said = [&](const std::vector<std::int64_t>& samples) {
    std::vector<int> out;
    for (const std::int64_t sample : samples) out.push_back(all.at(static_cast<std::size_t>(sample)));
    return out;
  };
  std::vector<int> whole;
  for (int step = 0; step < 9; ++step) {
    const auto batch = said(sampler.global_batch(step));
    whole.insert(whole.end(), batch.begin(), batch.end());
  }
  // Replicas take contiguous blocks of the batch; others open the data anew, in the middle of an epoch.
  for (const std::int64_t dp : {1, 2, 3}) {
    const auto again = f.open();
    REQUIRE(answers(*again) == all);
    const Sampler own(again->size(), 12, true, 5);
    std::vector<int> seen;
    for (std::int64_t step = 4; step < 9; ++step)
      for (std::int64_t d = 0; d < dp; ++d)
        for (const int answer : said(own.samples(step * 12 + d * (12 / dp), 12 / dp))) seen.push_back(answer);
    CHECK(seen == std::vector<int>(whole.begin() + 48, whole.end()));
  }
  // Each epoch has each source's share.
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<int> one(whole.begin() + epoch * data->size(), whole.begin() + (epoch + 1) * data->size());
    std::sort(one.begin(), one.end());
    std::vector<int> wanted = all;
    std::sort(wanted.begin(), wanted.end());
    CHECK(one == wanted);
  }
}
