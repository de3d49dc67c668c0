#include "layouts.h"

namespace cornstarch::test {
namespace {

EncoderLayout adapted(EncoderLayout e) {
  e.lora = true;
  return e;
}

/// What is dropped is the same wherever a token and a feature lie.
void add_dropout(Table& table) {
  using enum config::Sharding;
  using config::Checkpointing, config::SpMode;
  const auto add = [&](std::vector<EncoderLayout> encoders, int tp, int stages, int dp) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), tp, stages, dp);
    c.llm_lora = true;
    c.lora_dropout = 0.4;
    return c;
  };
  add({}, 1, 1, 1).llm_blocks = {Checkpointing::selective, false};
  add({}, 2, 1, 1).num_microbatches = 2;
  add({}, 3, 2, 2).llm = "gqa_tied";
  add({adapted(clip(3)), adapted(whisper(2, 2))}, 1, 2, 2);
  add({adapted(clip(1, 2)), adapted(sizes(2, 1, 4))}, 1, 1, 3).mix.text_tail = true;
  add({adapted(clip(2))}, 4, 1, 1).llm_blocks = {Checkpointing::full, true};
  add({}, 2, 2, 1).llm_blocks = {Checkpointing::selective, true};
  add({adapted(clip())}, 2, 2, 2).sharding = zero1;
  add({adapted(whisper(2))}, 2, 1, 2).sharding = zero3;
  for (const SpMode mode : kModes) {
    split(add({adapted(split(clip(2), 2, mode))}, 1, 1, 2), 2, mode);
    split(add({adapted(split(sizes(1, 2), 3, mode))}, 2, 1, 1), 2, mode, config::Distribution::zigzag);
    split(add({adapted(split(whisper(), 2, mode))}, 1, 2, 1), 2, mode, config::Distribution::makespan);
  }
  LayoutCase& packed = add({adapted(clip())}, 2, 1, 1);
  packed.packing = true;
  packed.mask = config::AttentionMask::modality_isolated;
  LayoutCase& whole = add({adapted(clip())}, 1, 1, 3);
  whole.whole_replicas = true;
  whole.microbatch_size = 1;
}

}  // namespace

void add_lora(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, int tp, int stages, int dp,
                       config::Sharding sharding = config::Sharding::none) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), tp, stages, dp);
    c.llm_lora = true;
    c.sharding = sharding;
    return c;
  };
  using enum config::Sharding;
  using config::Checkpointing;
  add({}, 2, 1, 1);
  add({}, 3, 2, 2).llm = "gqa_tied";
  add({adapted(clip(2, 2))}, 1, 2, 2);
  add({adapted(frozen(whisper(3), true, false))}, 2, 1, 1);
  add({}, 2, 2, 1).llm_blocks = {Checkpointing::selective, true};
  add({}, 4, 1, 1).llm_blocks = {Checkpointing::full, true};
  add({}, 1, 1, 1).llm_blocks = {Checkpointing::selective, false};
  add({adapted(clip())}, 2, 2, 2, zero1);
  add({adapted(whisper(2))}, 2, 1, 2, zero3);
  for (const auto mode : {config::SpMode::all_to_all, config::SpMode::ring}) {
    LayoutCase& c = add({}, 1, 1, 2);
    c.llm_sp = 2;
    c.mode = mode;
  }
  LayoutCase& packed = add({clip()}, 2, 1, 1);
  packed.packing = true;
  packed.own_rates = true;
  add_dropout(table);
}

}  // namespace cornstarch::test
