#include "cornstarch/report/run.h"

#include <cmath>
#include <fstream>

#include "catch.h"
#include "temporary_folder.h"

using namespace cornstarch;
using namespace cornstarch::report;

namespace {

class Folder : public test::TemporaryFolder {
 public:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path() / name, std::ios::binary) << text;
  }
  std::string at(const std::string& name) const { return (path() / name).string(); }
};

}  // namespace

TEST_CASE("A run folder is read back: steps, measurements, stages, answers, facts") {
  const Folder folder;
  folder.write(
      "metrics.jsonl",
      R"({"time":"2026-11-27T14:50:52.123Z","step":1,"loss":4,"lr":0.5,"skipped_samples":2}
{"time":"2026-11-27T14:50:53.123Z","step":2,"loss":null,"lr":0.25,"previous_step":[)"
      R"({"stage":"llm stage 0","compute_s":1,"bubble_s":0.5,"communication_s":0.25,"peak_memory_bytes":1024}]}
{"step":2,"eval_loss":3,"eval_accuracy":0.5,"eval_samples":8}
{"time":"2026-11-27T14:50:54.123Z","step":3,"loss":2,"lr":0.125,"dataset":{"a":1,"b":2},"previous_step":[)"
      R"({"stage":"llm stage 0","compute_s":3,"bubble_s":1.5,"communication_s":0.75,"peak_memory_bytes":512}]}
)");
  folder.write("versions.json", R"({"cornstarch-train":"1.0","ranks":4,"libraries":["x"]})");
  folder.write("plan.json", R"({"world_size":4,"dp":2,"layout":"single"})");
  folder.write("answers.jsonl",
               R"({"step":2,"sample":"eval.jsonl:1","question":"Which?","answer":"one","right":["two"],)"
               R"("exact_match":0,"f1":0.0})");
  const auto run = read_run(folder.path());
  REQUIRE(run);
  CHECK(run->notes.empty());
  CHECK(run->steps.steps() == std::vector<std::int64_t>{1, 2, 3});
  CHECK(run->evals.steps() == std::vector<std::int64_t>{2});
  CHECK(*run->steps.find("lr") == std::vector<double>{0.5, 0.25, 0.125});
  const auto& loss = *run->steps.find("loss");
  CHECK(loss[0] == 4);
  CHECK(std::isnan(loss[1]));
  CHECK((*run->steps.find("dataset.b"))[2] == 2);
  CHECK(std::isnan((*run->steps.find("dataset.b"))[0]));
  CHECK((*run->evals.find("eval_accuracy"))[0] == 0.5);
  REQUIRE(run->stages.size() == 1);
  CHECK(run->stages[0].name == "llm stage 0");
  CHECK(run->stages[0].compute_s == 2);
  CHECK(run->stages[0].bubble_s == 1);
  CHECK(run->stages[0].communication_s == 0.5);
  CHECK(run->stages[0].peak_memory_bytes == 1024);
  CHECK((*run->steps.find("peak_memory_bytes"))[1] == 1024);
  CHECK(run->facts == std::vector<std::pair<std::string, std::string>>{
                          {"version", "1.0"}, {"ranks", "4"}, {"layout", "single"}, {"replicas", "2"}});
  REQUIRE(run->answers.size() == 1);
  CHECK(run->answers[0].right == std::vector<std::string>{"two"});
  CHECK(run->answers[0].exact_match == 0.0);
  CHECK(run->first_time == "2026-11-27T14:50:52.123Z");
  CHECK(run->last_time == "2026-11-27T14:50:54.123Z");
}

TEST_CASE("What is odd in metrics.jsonl is noted with its line, and the rest is read") {
  const Folder folder;
  folder.write("metrics.jsonl",
               "{\"step\":1,\"loss\":4,\"note\":\"hm\"}\n\n{\"loss\":3}\n{\"step\":\"2\"}\n{\"step\":2,\"lo");
  const auto run = read_run(folder.path());
  REQUIRE(run);
  const std::string file = folder.at("metrics.jsonl");
  CHECK(run->steps.steps() == std::vector<std::int64_t>{1});
  CHECK(run->notes ==
        std::vector<std::string>{file + ":1: 'note' is no number but a text: it was left out",
                                 file + ":3: there is no 'step': the line was left out",
                                 file + ":4: 'step' is no whole number but a text: the line was left out",
                                 file + ":5: the last line is not whole and was left out"});
}

TEST_CASE("Of many odd lines the first are named and the others counted") {
  const Folder folder;
  std::string text = "{\"step\":1,\"loss\":1}\nx\ny\n";
  for (int i = 0; i < 5; ++i) text += "{\"loss\":3}\n";
  folder.write("metrics.jsonl", text);
  const auto run = read_run(folder.path());
  REQUIRE(run);
  REQUIRE(run->notes.size() == 5);
  CHECK(run->notes[3] == folder.at("metrics.jsonl") + ":2: 2 lines are no JSON objects and were left out");
  CHECK(run->notes[4] == folder.at("metrics.jsonl") + ": 2 more lines or values were left out");
}

TEST_CASE("Steps that are there twice count as they were written last") {
  const Folder folder;
  folder.write(
      "metrics.jsonl",
      "{\"step\":1,\"loss\":1}\n{\"step\":2,\"loss\":2}\n{\"step\":3,\"loss\":3}\n{\"step\":2,\"loss\":5}\n");
  const auto run = read_run(folder.path());
  REQUIRE(run);
  CHECK(run->steps.steps() == std::vector<std::int64_t>{1, 2});
  CHECK(*run->steps.find("loss") == std::vector<double>{1, 5});
  CHECK(run->notes ==
        std::vector<std::string>{folder.at("metrics.jsonl") +
                                 ": 2 steps are there more than once: those that were written last count"});
}

TEST_CASE("What is no run is refused, with what is there instead") {
  const Folder folder;
  const auto refused = [](const std::filesystem::path& path) {
    const auto run = read_run(path);
    REQUIRE_FALSE(run);
    return run.error();
  };
  const std::string path = folder.path().string();
  CHECK(refused(path + "/none").message == "there is no folder '" + path + "/none'");
  CHECK(refused(folder.path()).message == "'" + path + "' holds no run: there is no metrics.jsonl in it");
  CHECK(refused(folder.path()).help == "give the run_dir of a run");
  CHECK(refused(folder.path()).code == ExitCode::missing_input);
  std::filesystem::create_directory(folder.path() / "a");
  folder.write("a/metrics.jsonl", "{\"step\":1,\"eval_loss\":2}\nhalf");
  CHECK(refused(folder.path()).help == "there are runs in it: " + path + "/a");
  const Error empty = refused(folder.path() / "a");
  CHECK(empty.code == ExitCode::bad_data);
  CHECK(empty.message == path + "/a/metrics.jsonl: there is no step in it; " + path +
                             "/a/metrics.jsonl:2: the last line is not whole and was left out");
  CHECK(refused(folder.path() / "a" / "metrics.jsonl").message ==
        "'" + path + "/a/metrics.jsonl' is no folder");
}

TEST_CASE("A trace becomes a track for each rank, in which neighbours too short to be seen are one") {
  const Folder folder;
  folder.write("metrics.jsonl", "{\"step\":1,\"loss\":1}\n");
  folder.write("trace.json", R"({"traceEvents":[
{"name":"process_name","ph":"M","pid":0,"tid":0,"args":{"name":"rank 0: llm stage 0"}},
{"name":"tiny 1","cat":"compute","ph":"X","ts":0,"dur":10,"pid":0,"tid":0},
{"name":"tiny 2","cat":"compute","ph":"X","ts":11,"dur":10,"pid":0,"tid":0},
{"name":"wait","cat":"bubble","ph":"X","ts":21,"dur":500000,"pid":0,"tid":1},
{"name":"send","cat":"transfer","ph":"X","ts":21,"dur":500000,"pid":0,"tid":3},
{"name":"long","cat":"compute","ph":"X","ts":500021,"dur":499979,"pid":0,"tid":0}]})");
  const auto run = read_run(folder.path());
  REQUIRE(run);
  REQUIRE(run->tracks.size() == 1);
  CHECK(run->tracks[0].name == "rank 0: llm stage 0");
  const auto& stretches = run->tracks[0].stretches;
  REQUIRE(stretches.size() == 3);
  CHECK(stretches[0].name == "tiny 1");
  CHECK(stretches[0].spans == 2);
  CHECK(stretches[0].end_s == Approx(21e-6));
  CHECK(stretches[1].activity == "bubble");
  CHECK(stretches[2].end_s == Approx(1.0));
}

TEST_CASE("Files beside metrics.jsonl that are not what they should be are noted") {
  const Folder folder;
  folder.write("metrics.jsonl", "{\"step\":1,\"loss\":1}\n");
  for (const char* name : {"versions.json", "plan.json", "trace.json"}) folder.write(name, "[");
  folder.write("answers.jsonl", "{\"step\":1}\n");
  const auto run = read_run(folder.path());
  REQUIRE(run);
  CHECK(run->notes == std::vector<std::string>{
                          folder.at("versions.json") + ": it is no JSON object and was left out",
                          folder.at("plan.json") + ": it is no JSON object and was left out",
                          folder.at("answers.jsonl") + ":1: there is no text 'answer': the line was left out",
                          folder.at("trace.json") + ": it is no trace and was left out"});
}
