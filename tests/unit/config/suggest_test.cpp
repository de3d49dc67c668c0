#include "suggest.h"

#include "fixture.h"
#include "slips.h"

namespace cornstarch::config::test {
namespace {

struct Word {
  const char* written;
  const char* help;
};

const char* const kSaveSteps = "steps between checkpoints are 'checkpoint.every'";
const char* const kNoEpochs = "a run is counted in steps: 'steps' is epochs x samples / samples of a step";
const char* const kNoTracker =
    "there is nothing like it: metrics.jsonl in 'run_dir' has a line of JSON for every step";
const char* const kTopKeys =
    "known here: model, layout, batch, data, optimizer, lr_schedule, eval, log, stop, deadlines, checkpoint, "
    "resume, "
    "precision, sharding, reduce_dtype, "
    "device, cuda_graphs, deterministic, seed, steps, run_dir, export_dtype";

const Key& key_at(std::initializer_list<const char*> path) {
  const Key* key = &outline();
  for (const char* name : path) {
    key = key->child(name);
    REQUIRE(key != nullptr);
  }
  return *key;
}

TEST_CASE("Keys of other trainers: what they are called here, or that there is nothing like them") {
  const std::vector<Word> words = {
      {"learning_rate", "here it is 'optimizer.lr': The learning rate after the warm-up."},
      {"max_steps", "here it is 'steps': Optimizer steps of the run."},
      {"per_device_train_batch_size",
       "here it is 'batch.microbatch_size': Samples that one forward pass takes."},
      {"gradient_accumulation_steps",
       "here it is 'batch.num_microbatches': Microbatches of one step in each replica."},
      {"max_seq_length",
       "here it is 'batch.sequence_length': Tokens of a row of the LLM, counted after placeholders are "
       "expanded."},
      {"cutoff-len",
       "here it is 'batch.sequence_length': Tokens of a row of the LLM, counted after placeholders are "
       "expanded."},
      {"lr_scheduler_type",
       "here it is 'lr_schedule.type': The shape of the learning rate after the warm-up."},
      {"eval_steps", "here it is 'eval.every': Steps between measurements; 0: only at the end."},
      {"min_lr",
       "here it is 'lr_schedule.min_lr_ratio': Where the learning rate falls to, as a share r of "
       "`optimizer.lr`: "
       "step s has `optimizer.lr` * (r + (1 - r) * left), where done = (s - warmup_steps) / (steps - "
       "warmup_steps) "
       "and left = 1 - done (`linear`) or (1 + cos(pi * done)) / 2 (`cosine`)."},
      {"output_dir", "here it is 'run_dir': The folder for metrics, the plan and the trained model."},
      {"model_name_or_path",
       "here it is 'model.encoders.<name>.pretrained' or 'model.llm.pretrained': A Hugging Face folder: "
       "config.json "
       "and model.safetensors or its index."},
      {"tensor_model_parallel_size",
       "here it is 'model.encoders.<name>.parallel.tp' or 'model.llm.parallel.tp': Tensor-parallel size: "
       "ranks that "
       "share each layer."},
      {"zero_stage",
       "here it is 'sharding': What the replicas share between them instead of each keeping it."},
      {"save_steps",
       "here it is 'checkpoint.every': Steps between checkpoints: the whole state, from which the run goes "
       "on as if "
       "nothing had happened, in this layout or another."},
      {"save_total_limit", "here it is 'checkpoint.keep': How many of the newest stay."},
      {"Save_Strategy", kSaveSteps},
      {"num_train_epochs", kNoEpochs},
      {"epochs", kNoEpochs},
      {"logging_steps",
       "every step is a line of metrics.jsonl in 'run_dir'; 'log.every' is for what is said"},
      {"report_to", kNoTracker},
      {"wandb_project", kNoTracker},
      {"warmup_ratio", "write the number of steps: 'lr_schedule.warmup_steps' is the ratio x 'steps'"},
      {"bf16", "write precision: bf16"},
      {"fp16", "there is no fp16: precision: bf16 is as small"},
      {"lora_rank",
       "here it is 'model.encoders.<name>.lora.rank' or 'model.llm.lora.rank': Rows of A and columns of B: a "
       "layer gives W x + alpha / rank * B A x."},
      {"use_lora", "write lora: {rank: 8, alpha: 16, targets: [q_proj, v_proj]} in an encoder or the LLM"},
      {"hidden_size", "what a Hugging Face config.json says belongs under 'config' of an encoder or the LLM"},
      {"pipeline_model_parallel_size",
       "a modality has as many pipeline stages as 'parallel.stages' has lists"},
      {"overwrite_output_dir", "give --overwrite on the command line"},
      // Nothing is guessed.
      {"name", kTopKeys},
      {"do_train", kTopKeys},
      {"trust_remote_code", kTopKeys},
      {"group_by_length", kTopKeys},
      {"num_items", kTopKeys},
      {"http://x", kTopKeys},
      // Our own names.
      {"stpes", "did you mean 'steps'?"},
      {"run-dir", "did you mean 'run_dir'?"},
      {"warmup_steps", "'warmup_steps' belongs under 'lr_schedule'"},
      {"tensor_paralel_size", "did you mean 'model.encoders.<name>.parallel.tp'?"},
      {"steps:1000", "write steps: 1000"},
      {"steps=1000", "write steps: 1000"},
  };
  for (const Word& word : words) {
    INFO(word.written);
    CHECK(suggest_key(word.written, outline()).help == word.help);
  }
}

TEST_CASE("What was meant in the same map is not missing, too") {
  const Key& optimizer = key_at({"optimizer"});
  CHECK(suggest_key("learning_rate", optimizer).key == "lr");
  CHECK(suggest_key("learning_rate", optimizer).help ==
        "here it is 'lr': The learning rate after the warm-up.");
  CHECK(suggest_key("max_steps", outline()).key == "steps");
  CHECK(suggest_key("steps:5", outline()).key == "steps");
  CHECK(suggest_key("stpes", outline()).key == "steps");
  CHECK(suggest_key("save_steps", outline()).key.empty());
  CHECK(suggest_key("learning_rate", outline()).key.empty());
  CHECK(suggest_key("freeze", key_at({"model", "llm"})).help ==
        "here it is 'train': Whether the LLM's parameters train.");
}

TEST_CASE("A choice is another's word or a slip, but not another number") {
  const Key& sharding = key_at({"sharding"});
  CHECK(suggest_choice("zero2", sharding) == "allowed: none, zero1, zero3");
  CHECK(suggest_choice("FSDP", sharding) == "did you mean 'zero3'? Allowed: none, zero1, zero3");
  CHECK(suggest_choice("zreo1", sharding) == "did you mean 'zero1'? Allowed: none, zero1, zero3");
  CHECK(suggest_choice("float16", key_at({"precision"})) ==
        "allowed: fp32, fp64, bf16, bf16_pure, fp8, fp8_in_fp64");
}

TEST_CASE("A key without a space before its value") {
  const auto mended = [](const std::string& text) {
    const auto slip = unspaced(text);
    return slip ? cat(slip->key, " | ", slip->mended) : std::string("-");
  };
  CHECK(mended("steps:1000") == "steps | steps: 1000");
  CHECK(mended("  - path:a.jsonl  # x") == "path | path: a.jsonl  # x");
  CHECK(mended("run_dir:/a/b") == "run_dir | run_dir: /a/b");
  CHECK(mended("lr = 1e-3") == "lr | lr: 1e-3");
  for (const char* clear : {"steps: 1000", "steps:", "http://x", "a b:c", "- x", "1:2", ":a", "a==b"})
    CHECK(mended(clear) == "-");
  CHECK(mended("a:" + std::string(10000, 'x')) == "-");
}

TEST_CASE("Ranges of modules as other programs write them") {
  const auto meant = [](const std::string& entry) { return meant_range(entry).value_or("-"); };
  CHECK(meant("layers[0:2]") == "layers.0..1");
  CHECK(meant("model.layers.[3:12]") == "model.layers.3..11");
  CHECK(meant("layers.0-1") == "layers.0..1");
  CHECK(meant("layers.{0..5}") == "layers.0..5");
  CHECK(meant("layers[0-5]") == "layers.0..5");
  CHECK(meant("layers(0..5)") == "layers.0..5");
  for (const char* other : {"layers.0..5", "layers.0", "layers[2:2]", "layers.5-1", "model.norm",
                            "layers[a:b]", "layers.0-1x", "x layers[0:2]", "conv-1", "layers[0:123456]"})
    CHECK(meant(other) == "-");
  CHECK(foreign_range("  - [embed, model.layers[0:2]]")->written == "model.layers[0:2]");
}

}  // namespace
}  // namespace cornstarch::config::test
