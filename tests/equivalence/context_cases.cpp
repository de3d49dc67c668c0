#include "cornstarch/base/text.h"
#include "layouts.h"

namespace cornstarch::test {
namespace {

using config::AttentionMask;
using config::Distribution;
using config::SpMode;

void add_llm(Table& table) {
  for (const SpMode mode : kModes) {
    split(table.add({}, 1, 1, 1), 2, mode);
    split(table.add({}, 1, 1, 1), 3, mode, Distribution::zigzag);
    // Makespan deals blocks of 128 tokens: a microbatch must be longer for more than one rank to get some.
    LayoutCase& blocks = split(table.add({}, 1, 1, 1, "long"), 4, mode, Distribution::makespan);
    blocks.microbatch_size = 32;
    blocks.num_microbatches = 1;
    split(table.add({}, 2, 2, 1), 2, mode, Distribution::zigzag);
    split(table.add({}, 1, 2, 2), 2, mode).llm = "gqa_tied";
  }
  split(table.add({}, 1, 3, 1), 3, SpMode::ring).llm = "gqa_tied";
  split(table.add({}, 1, 1, 2), 3, SpMode::ring_attn).llm = "gqa_tied";
  split(table.add({}, 2, 2, 1), 2, SpMode::all_to_all).llm = "llama3";
  split(table.add({}, 4, 3, 1), 2, SpMode::ring_attn);
  split(table.add({}, 1, 2, 1, "all on one rank"), 2, SpMode::ring, Distribution::makespan);
  split(table.add({}, 1, 1, 2, "one sample a microbatch"), 4, SpMode::ring, Distribution::zigzag)
      .microbatch_size = 1;
}

void add_encoders(Table& table) {
  for (const int tp : {1, 3}) split(table.add({clip(tp)}, 1, 1, 1), 2, SpMode::ring_attn);
  split(table.add({clip(2, 2)}, 3, 2, 1), 2, SpMode::ring, Distribution::zigzag);
  for (const SpMode mode : kModes) {
    table.add({split(clip(), 2, mode)}, 1, 1, 1);
    split(table.add({split(clip(1, 2), 3, mode)}, 1, 1, 1), 2, mode, Distribution::zigzag);
    split(table.add({split(whisper(1, 6), 2, mode)}, 1, 1, 1, "cut between convolutions"), 2, mode);
  }
  split(table.add({split(clip(2), 2, SpMode::ring)}, 3, 1, 2), 2, SpMode::all_to_all);
  table.add({split(whisper(2, 2), 3, SpMode::ring_attn)}, 2, 1, 1);
  EncoderLayout patches = split(clip(1, 2), 4, SpMode::ring);
  patches.feature_layer = -2;
  patches.patch_only = true;
  split(table.add({patches}, 2, 1, 1, "features of the second last layer, patches only"), 3,
        SpMode::all_to_all);
  split(table.add({split(clip(), 2, SpMode::ring_attn), split(whisper(), 3, SpMode::ring)}, 2, 2, 1), 2,
        SpMode::ring_attn, Distribution::zigzag);
  split(table.add({clip(2), whisper()}, 4, 3, 1, "the documentation's"), 2, SpMode::ring_attn,
        Distribution::zigzag);
}

void add_frozen(Table& table) {
  for (int bits = 1; bits < 8; ++bits) {
    const bool encoder = bits & 1, projector = bits & 2, llm = bits & 4;
    const EncoderLayout e = frozen(split(clip(1, 2), 2, kModes[bits % 3]), encoder, projector);
    LayoutCase& c = split(table.add({e}, 1, 2, bits % 2 + 1), 2, kModes[(bits + 1) % 3]);
    c.train_llm = llm;
    c.mix.text_tail = true;
  }
}

void add_mixtures(Table& table) {
  const std::vector<EncoderLayout> encoders = {split(clip(1, 2), 2, SpMode::ring), whisper()};
  split(table.add(encoders, 1, 2, 2, "pure text"), 2, SpMode::ring_attn).mix.media = false;
  split(table.add(encoders, 2, 1, 1, "no targets"), 2, SpMode::ring).mix.no_targets = true;
  LayoutCase& c = split(table.add(encoders, 1, 2, 1, "one sample a microbatch"), 3, SpMode::ring_attn);
  c.llm = "gqa_tied";
  c.microbatch_size = 1;
  c.num_microbatches = 6;
  c.mix.text_tail = true;
}

void add_masks(Table& table) {
  for (const AttentionMask mask : {AttentionMask::image_bidirectional, AttentionMask::modality_isolated}) {
    table.add({clip(), whisper()}, 2, 2, 2).mask = mask;
    for (const SpMode mode : kModes)
      split(table.add({clip(), split(whisper(), 2, mode)}, 1, 2, 1), 2, mode, Distribution::zigzag).mask =
          mask;
    split(table.add({clip(2)}, 2, 1, 2), 3, SpMode::ring).mask = mask;
  }
}

/// Where those who hold other tokens share values and state, too.
void add_sharded(Table& table) {
  for (const config::Sharding sharding : {config::Sharding::zero1, config::Sharding::zero3}) {
    split(table.add({}, 1, 1, 1), 3, SpMode::ring_attn).sharding = sharding;
    LayoutCase& encoder = split(table.add({split(clip(), 2, SpMode::ring)}, 1, 1, 2), 2, SpMode::all_to_all);
    encoder.sharding = sharding;
    encoder.mix.text_tail = true;
    LayoutCase& tied = split(table.add({}, 2, 1, 1), 2, SpMode::ring, Distribution::zigzag);
    tied.llm = "gqa_tied";
    tied.llm_blocks = {config::Checkpointing::full, true};
    tied.sharding = sharding;
  }
}

/// Rows without padding, each sample alone: what padded rows compute.
void add_packing(Table& table) {
  const auto packed = [](LayoutCase& c) -> LayoutCase& {
    c.packing = true;
    return c;
  };
  packed(table.add({}, 1, 1, 1));
  packed(table.add({}, 2, 2, 2)).llm = "gqa_tied";
  packed(table.add({clip(2), whisper()}, 1, 2, 2)).mix.text_tail = true;
  for (const config::Sharding sharding : {config::Sharding::zero1, config::Sharding::zero3})
    packed(table.add({clip()}, 1, 1, 2)).sharding = sharding;
  for (const SpMode mode : kModes) {
    LayoutCase& c = packed(split(table.add({clip()}, 1, 2, 1), 2, mode, Distribution::zigzag));
    c.mask = AttentionMask::image_bidirectional;
  }
  LayoutCase& c = packed(split(table.add({clip(), whisper()}, 2, 1, 1), 2, SpMode::ring));
  c.mask = AttentionMask::modality_isolated;
  c.llm_blocks = {config::Checkpointing::full, true};
}

/// Rows of several samples, each alone.
void add_first_fit(Table& table) {
  const auto fitted = [](LayoutCase& c) -> LayoutCase& {
    c.first_fit = true;
    return c;
  };
  fitted(table.add({clip()}, 1, 1, 1));
  fitted(table.add({clip(2), whisper()}, 2, 2, 2)).num_microbatches = 2;
  LayoutCase& replicas = fitted(table.add({sizes()}, 1, 1, 4));
  replicas.num_microbatches = 1;
  replicas.whole_replicas = true;
  replicas.sharding = config::Sharding::zero3;
  fitted(split(table.add({split(sizes(), 2, SpMode::ring)}, 1, 2, 2), 2, SpMode::ring_attn)).mask =
      AttentionMask::image_bidirectional;
}

/// Blocks that compute again what they did not keep, and ranks of tp that hold shares of a rank's tokens.
void add_blocks(Table& table) {
  using config::Checkpointing;
  for (const SpMode mode : kModes) {
    EncoderLayout encoder = split(clip(2), 2, mode);
    encoder.blocks = {Checkpointing::full, true};
    LayoutCase& c = split(table.add({encoder}, 2, 1, 1), 2, mode, Distribution::zigzag);
    c.llm_blocks = {Checkpointing::selective, true};
    split(table.add({split(whisper(), 2, mode)}, 1, 2, 1), 2, mode).llm_blocks.checkpointing =
        Checkpointing::full;
  }
  LayoutCase& c = split(table.add({clip()}, 3, 1, 2, "one sample a microbatch"), 2, SpMode::ring);
  c.microbatch_size = 1;
  c.llm_blocks = {Checkpointing::none, true};
}

}  // namespace

void add_context_parallel(Table& table) {
  add_llm(table);
  add_encoders(table);
  add_frozen(table);
  add_mixtures(table);
  add_masks(table);
  add_sharded(table);
  add_packing(table);
  add_first_fit(table);
  add_blocks(table);
}

}  // namespace cornstarch::test
