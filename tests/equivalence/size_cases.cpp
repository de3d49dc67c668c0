#include "layouts.h"

namespace cornstarch::test {

using config::AttentionMask;
using config::Checkpointing;
using config::Distribution;
using config::SpMode;

namespace {

using MakeEncoder = EncoderLayout (*)(int tp, int stages);

/// Qwen2-VL and Qwen2.5-VL: pictures and films of any size, in both halves.
void add_qwen_vl(Table& table, MakeEncoder make, const std::string& llm) {
  const auto add = [&](EncoderLayout e, int tp, int stages, int dp) -> LayoutCase& {
    LayoutCase& c = table.add({std::move(e)}, tp, stages, dp);
    c.llm = llm;
    return c;
  };
  add(make(1, 1), 1, 1, 1);
  add(bare(make(3, 2)), 2, 2, 2);
  for (const SpMode mode : kModes) {
    add(split(bare(make(1, 2)), 2, mode), 2, 1, 1);
    split(add(split(make(2, 1), 3, mode), 1, 2, 1), 2, mode, Distribution::zigzag);
  }
  EncoderLayout dealt = make(2, 2);
  dealt.blocks = {Checkpointing::selective, true};
  add(dealt, 2, 1, 1).mask = AttentionMask::image_bidirectional;
  EncoderLayout recomputed = split(make(1, 1), 2, SpMode::ring);
  recomputed.blocks.checkpointing = Checkpointing::full;
  split(add(recomputed, 1, 1, 2), 2, SpMode::ring_attn).packing = true;
  for (const auto sharding : {config::Sharding::zero1, config::Sharding::zero3})
    add(bare(make(2, 1)), 2, 1, 2).sharding = sharding;
  for (int bits = 1; bits < 7; ++bits)
    add(frozen(split(make(1, 2), 2, kModes[bits % 3]), bits & 1, bits & 2), 2, 1, 1).train_llm = bits & 4;
}

/// Pictures whose tokens the LLM turns by row and column.
void add_grids(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, int tp, int stages, int dp) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), tp, stages, dp);
    c.llm = "qwen2_vl_text";
    return c;
  };
  add({sizes(1, 1)}, 2, 1, 1);
  add({sizes(2, 2), whisper()}, 3, 2, 2);
  for (const SpMode mode : kModes)
    split(add({split(sizes(1, 2), 2, mode)}, 1, 2, 1), 2, mode).distribution = Distribution::zigzag;
  LayoutCase& packed = split(add({sizes(), clip()}, 2, 1, 2), 2, SpMode::ring_attn);
  packed.packing = true;
  packed.mask = AttentionMask::image_bidirectional;
  LayoutCase& dealt = add({sizes(2)}, 2, 2, 1);
  dealt.llm_blocks = {Checkpointing::full, true};
  add({sizes()}, 2, 1, 2).sharding = config::Sharding::zero3;
}

}  // namespace

void add_sizes(Table& table) {
  for (const int merged : {1, 4}) {
    table.add({sizes(1, 1, merged)}, 1, 1, 1);
    table.add({sizes(3, 2, merged)}, 2, 2, 2);
    for (const SpMode mode : kModes) {
      table.add({split(sizes(1, 2, merged), 2, mode)}, 2, 1, 1);
      split(table.add({split(sizes(2, 1, merged), 3, mode)}, 1, 2, 1), 2, mode, Distribution::zigzag);
    }
  }
  EncoderLayout dealt = sizes(2, 2, 4);
  dealt.blocks = {Checkpointing::selective, true};
  table.add({dealt, whisper()}, 2, 1, 1);
  EncoderLayout recomputed = split(sizes(1, 3), 2, SpMode::ring);
  recomputed.blocks.checkpointing = Checkpointing::full;
  table.add({clip(), recomputed}, 1, 2, 1);
  for (const auto sharding : {config::Sharding::zero1, config::Sharding::zero3})
    table.add({sizes(2, 1, 4)}, 2, 1, 2).sharding = sharding;
  for (const auto mask : {AttentionMask::image_bidirectional, AttentionMask::modality_isolated}) {
    table.add({sizes(1, 1, 4), sizes()}, 1, 2, 1).mask = mask;
    LayoutCase& c = split(table.add({sizes(2), whisper()}, 1, 1, 2), 2, SpMode::ring_attn);
    c.mask = mask;
    c.packing = true;
  }
  for (int bits = 1; bits < 7; ++bits) {
    const EncoderLayout e = frozen(split(sizes(1, 2, 4), 2, kModes[bits % 3]), bits & 1, bits & 2);
    LayoutCase& c = table.add({e}, 2, 1, bits % 2 + 1);
    c.train_llm = bits & 4;
    c.mix.text_tail = true;
  }
  add_grids(table);
  add_qwen_vl(table, qwen2_vl, "qwen2_vl_text");
  add_qwen_vl(table, qwen2_5_vl, "qwen2_5_vl_text");
}

}  // namespace cornstarch::test
