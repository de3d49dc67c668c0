#include "fixture.h"

namespace cornstarch::config::test {
namespace {

const std::string kRest =
    "batch: {microbatch_size: 1, global_size: 4, sequence_length: 16}\n"
    "data: {train: [{path: a.jsonl}], tokenizer: t.json}\n"
    "steps: 2\n";

const std::string kCanonical =
    "model:\n"
    "  llm:\n"
    "    family: llama\n"
    "    config: {}\n"
    "    parallel:\n"
    "      tp: 2\n"
    "      sp: 4\n"
    "      mode: ring_attn\n"
    "      stages: [[a, b], [c]]\n" +
    kRest;

const std::string kCornstarch =
    "model:\n"
    "  language_model:\n"
    "    family: llama\n"
    "    config: {}\n"
    "    parallel:\n"
    "      tp_size: 2\n"
    "      sp_size: 4\n"
    "      sequence_parallelism_mode: ring_attn\n"
    "      pipeline_template:\n"
    "        model_name: transformers.models.llama.modeling_llama.LlamaForCausalLM\n"
    "        modules_per_stage: [[a, b], [c]]\n" +
    kRest;

TEST_CASE("The names that Cornstarch's users know mean the same") {
  const Loaded loaded = good(kCornstarch);
  CHECK(dump(loaded.config) == dump(good(kCanonical).config));
  CHECK(loaded.where.at("model.llm.parallel.stages[1][0]").line == 11);
  CHECK(loaded.where.at("model.llm.parallel.stages[1][0]").column == 38);
  CHECK(loaded.where.at("model.llm").line == 2);
}

TEST_CASE("Also the short name of the mode, and in encoders") {
  const RunConfig c =
      good(
          "model:\n"
          "  encoders:\n"
          "    vision: {family: f, config: {}, parallel: {sp_size: 2, sequence_parallelism: ring_attn, "
          "pipeline_template: {modules_per_stage: [[m]]}}}\n"
          "  llm: {family: llama, config: {}}\n" +
          kRest)
          .config;
  CHECK(c.model.encoders.at(0).parallel->sp == 2);
  CHECK(c.model.encoders.at(0).parallel->mode == SpMode::ring_attn);
  CHECK(c.model.encoders.at(0).parallel->stages == std::vector<std::vector<std::string>>{{"m"}});
}

TEST_CASE("--set takes the aliases, over either spelling") {
  for (const std::string& text : {kCanonical, kCornstarch}) {
    const RunConfig c = good(text, {"model.language_model.parallel.tp_size=8", "model.llm.parallel.sp_size=3",
                                    "model.llm.parallel.sequence_parallelism=all_to_all",
                                    "model.llm.parallel.pipeline_template.modules_per_stage[1]=[x, y]",
                                    "model.llm.parallel.pipeline_template.model_name=any"})
                            .config;
    CHECK(c.model.llm.parallel->tp == 8);
    CHECK(c.model.llm.parallel->sp == 3);
    CHECK(c.model.llm.parallel->mode == SpMode::all_to_all);
    CHECK(c.model.llm.parallel->stages == std::vector<std::vector<std::string>>{{"a", "b"}, {"x", "y"}});
    const RunConfig whole =
        good(text, {"model.llm.parallel.pipeline_template={model_name: m, modules_per_stage: [[z]]}",
                    "model.llm.parallel.tp=1"})
            .config;
    CHECK(whole.model.llm.parallel->stages == std::vector<std::vector<std::string>>{{"z"}});
    CHECK(whole.model.llm.parallel->tp == 1);
    const RunConfig map =
        good(text, {"model.llm.parallel={tp_size: 5, pipeline_template: {modules_per_stage: [[q]]}}"}).config;
    CHECK(map.model.llm.parallel->tp == 5);
    CHECK(map.model.llm.parallel->stages == std::vector<std::vector<std::string>>{{"q"}});
  }
}

}  // namespace
}  // namespace cornstarch::config::test
