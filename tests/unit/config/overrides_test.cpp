#include <filesystem>

#include "fixture.h"

namespace cornstarch::config::test {
namespace {

TEST_CASE("--set overrides values of every type, the last one wins") {
  const RunConfig c =
      good(kLarge, {"steps=7", "steps=9", "optimizer.lr=2.5e-4", "optimizer.betas=[0.5, 0.6]",
                    "lr_schedule.warmup_steps=0", "data.shuffle=true", "layout=separate", "run_dir=out",
                    "model.llm.family=5", "model.encoders.vision.train.encoder=true",
                    "eval={every: 3, max_samples: 1}"})
          .config;
  CHECK(c.steps == 9);
  CHECK(c.optimizer.lr == 2.5e-4);
  CHECK(c.optimizer.betas == std::vector<double>{0.5, 0.6});
  CHECK(c.data.shuffle);
  CHECK(c.layout == Layout::separate);
  CHECK(c.run_dir == (std::filesystem::current_path() / "out").string());
  CHECK(c.model.llm.family == "5");
  CHECK(c.model.encoders[0].train.encoder);
  CHECK(c.eval.every == 3);
}

TEST_CASE("Text in --set is taken as it is, in quotes or not") {
  const auto placeholder = [](const std::string& value) {
    return good(kLarge, {"model.encoders.vision.placeholder=" + value}).config.model.encoders[0].placeholder;
  };
  CHECK(placeholder("[img]: #1 & *x") == "[img]: #1 & *x");
  CHECK(placeholder("\"a\\tb\"") == "a\tb");
  CHECK(placeholder("'it''s'") == "it's");
  CHECK(placeholder("a=b") == "a=b");
  CHECK(placeholder("true") == "true");
}

TEST_CASE("--set reaches into lists, free maps and what the file does not have") {
  const RunConfig c =
      good(kLarge,
           {"model.encoders.vision.parallel.stages[1][0]=x",
            "model.encoders.vision.parallel.stages[0]=[y, \"z.0..2\"]", "data.train[1].weight=3",
            "model.encoders.vision.config.hidden_size=128", "model.encoders.vision.config.deep.a.c=[1, two]",
            "model.encoders.vision.config.new.key=0.5", "model.encoders.audio.parallel.tp=3",
            "model.encoders.audio.parallel.stages=[[m]]"})
          .config;
  CHECK(c.model.encoders[0].parallel->stages ==
        std::vector<std::vector<std::string>>{{"y", "z.0..2"}, {"x", "projector"}});
  CHECK(c.data.train[1].weight == 3.0);
  CHECK(
      c.model.encoders[0].config_json ==
      R"({"hidden_size":128,"layer_norm_eps":1e-05,"hidden_act":"quick_gelu","flags":[true,null,-3,"1",2.5],)"
      R"("deep":{"a":{"b":"yes","c":[1,"two"]}},"new":{"key":0.5}})");
  CHECK(c.model.encoders[1].parallel->tp == 3);
}

TEST_CASE("--set takes away with null and adds a whole encoder") {
  const RunConfig c = good(kLarge, {"model.llm.pretrained=null", "model.llm.config={hidden_size: 8}",
                                    "batch.num_microbatches=~", "batch.global_size=64",
                                    "model.encoders.touch={family: f, config: {}}"})
                          .config;
  CHECK(c.model.llm.pretrained == std::nullopt);
  CHECK(c.model.llm.config_json == R"({"hidden_size":8})");
  CHECK(c.batch.num_microbatches == std::nullopt);
  CHECK(c.batch.global_size == 64);
  REQUIRE(c.model.encoders.size() == 3);
  CHECK(c.model.encoders[2].name == "touch");
}

TEST_CASE("Paths in --set are relative to the current directory, also in lists and maps") {
  const RunConfig c =
      good(kSmall, {"data.eval=[{path: e.jsonl, media_root: m}]", "data.tokenizer=../t.json"}).config;
  const std::filesystem::path here = std::filesystem::current_path();
  CHECK(c.data.eval.at(0).path == (here / "e.jsonl").string());
  CHECK(c.data.eval.at(0).media_root == (here / "m").string());
  CHECK(c.data.tokenizer == (here.parent_path() / "t.json").string());
  CHECK(c.data.train.at(0).path == "/base/a.jsonl");
}

TEST_CASE("--set takes text alone") {
  for (const char* flag : {"model.llm.config={a: \xD4}", "\xD4=1", "\xD4"})
    CHECK(try_load(kSmall, {flag}).problems.find("error: a value of --set is no UTF-8 text [bad_override]") !=
          std::string::npos);
}

TEST_CASE("--set mends what is wrong in the file") {
  CHECK(good(kSmall + "seed: x\n", {"seed=3"}).config.seed == 3);
  CHECK(good("model: {llm: {family: llama, config: {}}}\n"
             "data: {train: [{path: a.jsonl}], tokenizer: t.json}\n",
             {"steps=2", "batch={global_size: 4, sequence_length: 16}"})
            .config.steps == 2);
}

}  // namespace
}  // namespace cornstarch::config::test
