#include "cornstarch/report/page.h"

#include <nlohmann/json.hpp>

#include "catch.h"
#include "series.h"

using namespace cornstarch;
using namespace cornstarch::report;
using Json = nlohmann::json;

namespace {

Run run_of(const std::filesystem::path& folder, int steps) {
  Run run;
  run.folder = folder;
  for (int step = 1; step <= steps; ++step) {
    run.steps.begin_row(step);
    run.steps.set("loss", step);
    run.steps.set("tokens", 10);
    run.steps.set("step_time_s", 0.5);
    run.steps.set("model_flops", 100);
  }
  return run;
}

Json data(const std::vector<Run>& runs, std::size_t points) {
  return Json::parse(data_of(runs, {points, "test"}));
}

}  // namespace

TEST_CASE("Few steps are shown as they are, with what can be drawn along") {
  const Json steps = data({run_of("a", 3)}, 3)["runs"][0]["steps"];
  CHECK(steps["per"] == 1);
  CHECK(steps["axes"] == Json::parse(R"({"step":[1,2,3],"tokens":[10,20,30],"time":[0.5,1,1.5]})"));
  CHECK(steps["series"]["loss"] == Json::parse(R"({"mean":[1,2,3]})"));
  CHECK(steps["series"]["model_flops_per_s"] == Json::parse(R"({"mean":[200,200,200]})"));
}

TEST_CASE("Many steps are taken together: their mean, and how far they reach") {
  Run run = run_of("a", 5);
  run.steps.begin_row(6);
  run.steps.set("loss", kNone);
  const Json steps = data({run}, 3)["runs"][0]["steps"];
  CHECK(steps["per"] == 2);
  CHECK(steps["axes"]["step"] == Json::parse("[2,4,6]"));
  CHECK(steps["axes"]["tokens"] == Json::parse("[20,40,50]"));
  CHECK(steps["series"]["loss"] == Json::parse(R"({"mean":[1.5,3.5,5],"low":[1,3,5],"high":[2,4,5]})"));
  CHECK(points_of({kNone, kNone, 1}, 2).mean[1] == 1);
  CHECK(Json(data({run_of("a", 100000)}, 1000))["runs"][0]["steps"]["axes"]["step"].size() == 1000);
}

TEST_CASE("What is told of a run in words") {
  Run run = run_of("runs/a", 4);
  run.config = "steps: 10\noptimizer:\n  lr: 0.1\n";
  run.facts = {{"ranks", "4"}};
  run.steps.set("skipped_samples", 3);
  for (const auto& [step, loss] : {std::pair{2, 0.5}, std::pair{4, 0.75}}) {
    run.evals.begin_row(step);
    run.evals.set("eval_loss", loss);
    run.evals.set("eval_accuracy", loss);
  }
  run.stages = {{"llm stage 0", 1, 0, 0, 2048, 1}};
  CHECK(data({run}, 10)["runs"][0]["summary"] ==
        Json::parse(R"({"steps": "4 of 10", "loss, last step": "4.0000",
    "held-out loss, lowest": "0.5000 at step 2", "held-out accuracy, highest": "75.0 % at step 4",
    "time of steps": "2.00s", "tokens": "40", "tokens a second": "20", "peak memory of a rank": "2 KiB",
    "samples skipped": "3", "ranks": "4"})"));
}

TEST_CASE("Runs are told apart by their names and by what differs between their configs") {
  Run first = run_of("/x/a/run", 1), second = run_of("/x/b/run", 1);
  first.config = "optimizer:\n  lr: 0.1\nsteps: 3\n";
  second.config = "optimizer:\n  lr: 0.2\nsteps: 3\nseed: 7\n";
  const Json both = data({first, second}, 10);
  CHECK(both["runs"][0]["name"] == "a/run");
  CHECK(both["runs"][1]["name"] == "b/run");
  CHECK(both["differences"] == Json::parse(R"([{"key": "optimizer.lr", "values": ["0.1", "0.2"]},
                                               {"key": "seed", "values": ["", "7"]}])"));
  CHECK(data({first, first}, 10)["runs"][1]["name"] == "x/a/run");
}

TEST_CASE("Answers stand by question, those of the last step among them") {
  Run run = run_of("a", 1);
  for (int step = 1; step <= 20; ++step)
    for (int question = 0; question < 30; ++question)
      run.answers.push_back({step, "e:" + std::to_string(question), "?", "said", {"right"}, 0.0, 0.25});
  const Json shown = data({run}, 10)["runs"][0];
  REQUIRE(shown["answers"].size() == 24);
  const Json& answers = shown["answers"][0]["answers"];
  REQUIRE(answers.size() == 8);
  CHECK(answers.back() == Json::parse(R"({"step":20,"answer":"said","exact_match":0.0,"f1":0.25})"));
  CHECK(shown["notes"] == Json::parse(R"(["answers to 6 more questions are in answers.jsonl",
                                          "answers of 12 more steps are in answers.jsonl"])"));
}

TEST_CASE("The page is one document that asks for nothing, whatever stands in a run's texts") {
  Run run = run_of("a", 2);
  run.notes = {"</script><script>alert(1)</script>", "not UTF-8: \xff"};
  const std::string html = page({run}, {10, "test"});
  CHECK(html.find("<script>alert") == std::string::npos);
  CHECK(html.find(R"(\u003c/script>\u003cscript>alert(1)\u003c/script>)") != std::string::npos);
  for (const char* outside : {"http:", "https:", "src=", "@import", "url("}) {
    const auto at = html.find(outside);
    CHECK((at == std::string::npos || html.compare(at, 26, "http://www.w3.org/2000/svg") == 0));
  }
}
