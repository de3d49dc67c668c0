#include "layouts.h"

namespace cornstarch::test {

using config::AttentionMask;
using config::Checkpointing;
using config::Distribution;
using config::SpMode;

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
}

}  // namespace cornstarch::test
