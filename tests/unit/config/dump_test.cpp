#include "fixture.h"

namespace cornstarch::config::test {
namespace {

TEST_CASE("The dump spells every key out") {
  CHECK(dump(good(kSmall, {"run_dir=/r",
                           "model.encoders={ear: {family: whisper, config: {a: {}, b: []}, "
                           "parallel: {stages: [[m, \"l.0..3\"], [projector]]}}}"})
                 .config) == R"(model:
  encoders:
    ear:
      family: whisper
      config:
        a: {}
        b: []
      ignore_weights: []
      projector:
        type: linear
        avg_pool: 1
        activation: gelu
      train:
        encoder: true
        projector: true
      train_except: []
      optimizer:
        encoder: {}
        projector: {}
      placeholder: "<ear>"
      feature_layer: -1
      feature_select: full
      feature_norm: true
      activation_checkpointing: none
      parallel:
        tp: 1
        sp: 1
        mode: all_to_all
        distribution: makespan
        tp_sequence_parallel: false
        stages:
          - [m, l.0..3]
          - [projector]
  llm:
    family: llama
    config: {}
    ignore_weights: []
    train: true
    train_except: []
    optimizer: {}
    attention_mask: causal
    activation_checkpointing: none
layout: separate
batch:
  microbatch_size: 1
  global_size: 4
  sequence_length: 16
  packing: none
data:
  train:
    - path: /base/a.jsonl
      weight: 1.0
  eval: []
  tokenizer: /base/t.json
  chat_template: plain
  train_on: answers
  on_long_sample: cut
  shuffle: true
  on_bad_sample: fail
  max_bad_fraction: 0.01
  num_workers: 4
optimizer:
  type: adamw
  lr: 0.001
  betas: [0.9, 0.95]
  eps: 1.0e-08
  weight_decay: 0.0
  no_decay: vectors
  momentum: 0.0
  grad_clip: 1.0
  max_bad_steps: 3
  spike_zscore: 0.0
  skip_spikes: false
lr_schedule:
  type: constant
  warmup_steps: 0
  min_lr_ratio: 0.0
eval:
  every: 0
  max_samples: 512
  hold_out: 0.0
  generate: 0
  generate_tokens: 32
log:
  every: 0
  every_seconds: 10.0
  level: info
stop: {}
deadlines:
  start: 120.0
  step: 0.0
  data: 600.0
  collective: 600.0
checkpoint:
  every: 0
  every_minutes: 0.0
  keep: 2
  keep_every: 0
  async: true
  on_error: warn
resume: never
precision: fp32
sharding: none
reduce_dtype: fp32
device: cpu
cuda_graphs: false
deterministic: false
seed: 0
steps: 2
run_dir: /r
export_dtype: same
)");
}

TEST_CASE("A dump loads to the same value") {
  for (const std::string& text : {kSmall, kLarge}) {
    const RunConfig first = good(text).config;
    const RunConfig second = good(dump(first)).config;
    CHECK(dump(second) == dump(first));
    REQUIRE(second.model.encoders.size() == first.model.encoders.size());
    for (std::size_t i = 0; i < first.model.encoders.size(); ++i) {
      CHECK(second.model.encoders[i].name == first.model.encoders[i].name);
      CHECK(second.model.encoders[i].config_json == first.model.encoders[i].config_json);
    }
    CHECK(second.optimizer.lr == first.optimizer.lr);
    CHECK(second.seed == first.seed);
    CHECK(second.data.train[0].path == first.data.train[0].path);
  }
}

TEST_CASE("Any text, number and model config survives the dump") {
  RunConfig config = good(kLarge).config;
  config.optimizer.lr = 0.1 + 0.2;
  config.optimizer.eps = 5e-324 * 1e20;
  config.lr_schedule.min_lr_ratio = 1.0 / 3.0;
  config.model.llm.pretrained.reset();
  config.model.llm.config_json =
      R"({"a b":"x: y","":"#","yes":"no","null":"~","n":-9223372036854775808,"u":18446744073709551615,)"
      R"("f":1e+300,"list":[[],{},[{"k":[1]}],"]"],"long":[")" +
      std::string(120, 'x') + R"("],"esc":"\"\\\n\t\u0001ü"})";
  for (const char* text :
       {"null", "Null", "~",  "-",    "- a",     "a: b", "#x", "true",  "on", "010", "1e5", "0x1f", ".5",
        "'",    "\"",   "\\", "a\nb", "{a}",     "[a]",  "&a", "*a",    "!a", "%a",  "@a",  "a #b", "é𝄞",
        " a ",  "?",    ":",  "a:",   "<image>", "NaN",  "N",  "1_000", "..", "=",   "|",   ">"}) {
    config.model.llm.family = text;
    config.model.encoders[0].placeholder = text;
    INFO(text);
    const RunConfig again = good(dump(config)).config;
    CHECK(again.model.llm.family == text);
    CHECK(again.model.encoders[0].placeholder == text);
    CHECK(again.optimizer.lr == config.optimizer.lr);
    CHECK(again.optimizer.eps == config.optimizer.eps);
    CHECK(again.lr_schedule.min_lr_ratio == config.lr_schedule.min_lr_ratio);
    CHECK(again.model.llm.config_json == config.model.llm.config_json);
  }
}

}  // namespace
}  // namespace cornstarch::config::test
