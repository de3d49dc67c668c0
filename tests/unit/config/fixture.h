#pragma once

#include <string>
#include <vector>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"

namespace cornstarch::config::test {

struct Outcome {
  std::optional<Loaded> loaded;
  std::string problems;
};

inline Outcome try_load(const std::string& text, const std::vector<std::string>& flags = {}) {
  Diagnostics diagnostics;
  Outcome out;
  out.loaded = load_text(text, "run.yaml", "/base", flags, diagnostics);
  out.problems = render_text(diagnostics);
  return out;
}

/// The config of a text without problems.
inline Loaded good(const std::string& text, const std::vector<std::string>& flags = {}) {
  Outcome outcome = try_load(text, flags);
  CHECK(outcome.problems == "");
  REQUIRE(outcome.loaded.has_value());
  return *outcome.loaded;
}

/// The smallest config, to which tests add.
inline const std::string kSmall =
    "model: {llm: {family: llama, config: {}}}\n"
    "batch: {microbatch_size: 1, global_size: 4, sequence_length: 16}\n"
    "data: {train: [{path: a.jsonl}], tokenizer: t.json}\n"
    "steps: 2\n";

/// Every key that a user can write.
inline const std::string kLarge = R"(model:
  encoders:
    vision:
      family: clip_vision_model
      config:
        hidden_size: 64
        layer_norm_eps: 1e-5
        hidden_act: "quick_gelu"
        flags: [true, null, -3, "1", 2.5]
        deep: {a: {b: "yes"}}
      projector: {type: mlp, activation: relu}
      train: {encoder: false, projector: true}
      train_except: [vision_model.embeddings, "vision_model.encoder.layers.0..3"]
      optimizer:
        encoder: {lr: 1.0e-5, weight_decay: 0.05, no_decay: nothing}
        projector: {lr: 2.0e-3}
      placeholder: "<image>"
      feature_layer: -2
      feature_select: patch
      parallel:
        tp: 2
        sp: 1
        mode: all_to_all
        stages:
          - [vision_model.embeddings, "vision_model.encoder.layers.0..5"]
          - [vision_model.post_layernorm, projector]
    audio: {family: whisper, pretrained: ../whisper}
  llm:
    family: llama
    pretrained: /models/llama
    train: false
    train_only: ["model.layers.4..9", lm_head]
    optimizer: {weight_decay: 0, no_decay: vectors}
    parallel:
      tp: 4
      sp: 2
      mode: ring_attn
      stages: [[model.embed_tokens, "model.layers.0..9"], [model.norm, lm_head]]
layout: single
batch: {microbatch_size: 2, num_microbatches: 8, sequence_length: 1024}
data:
  train:
    - {path: demo/train.jsonl, media_root: demo, weight: 0.5}
    - {path: /abs/b.json}
  eval: [{path: ./demo/../eval.jsonl}]
  tokenizer: demo/tokenizer.json
  chat_template: plain
  train_on: last_answer
  on_long_sample: refuse
  shuffle: false
  on_bad_sample: skip
  num_workers: 2
optimizer: {type: sgd, lr: 1.0e-3, betas: [0.8, 0.99], eps: 1.0e-6, weight_decay: 0.1, no_decay: norms_and_biases, momentum: 0.9, grad_clip: 0}
lr_schedule: {type: cosine, warmup_steps: 50, min_lr_ratio: 0.1}
eval: {every: 100, max_samples: 64}
precision: fp64
device: cpu
seed: 18446744073709551615
steps: 200
run_dir: /runs/demo
export_dtype: fp32
)";

}  // namespace cornstarch::config::test
