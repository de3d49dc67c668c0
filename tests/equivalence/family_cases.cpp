#include "layouts.h"

namespace cornstarch::test {
namespace {

using config::AttentionMask;
using config::Checkpointing;
using config::Sharding;
using config::SpMode;

constexpr Blocks kSequence = {Checkpointing::selective, true};

/// What a language model's blocks can meet, in six layouts.
void add_llm(Table& table, const std::string& family, SpMode mode = SpMode::ring_attn) {
  const auto add = [&](int tp, int stages, int dp) -> LayoutCase& {
    LayoutCase& c = table.add({}, tp, stages, dp);
    c.llm = family;
    return c;
  };
  add(2, 1, 1);
  add(3, 2, 2);
  LayoutCase& dealt = add(2, 2, 1);
  dealt.llm_blocks = kSequence;
  LayoutCase& context = add(2, 1, 2);
  context.llm_sp = 2;
  context.mode = mode;
  add(2, 1, 2).sharding = Sharding::zero3;
  LayoutCase& packed = add(1, 2, 2);
  packed.sharding = Sharding::zero1;
  packed.packing = true;
  packed.llm_blocks.checkpointing = Checkpointing::full;
}

/// With pictures among the tokens, under a mask that tells them from text.
void add_masked(Table& table, const std::string& family, SpMode mode, AttentionMask mask) {
  LayoutCase& c = table.add({clip()}, 1, 2, 1);
  c.llm = family;
  c.llm_sp = 2;
  c.mode = mode;
  c.mask = mask;
}

/// What an encoder's blocks can meet.
void add_encoder(Table& table, const std::string& family) {
  const auto encoder = [&](int tp, int stages) { return EncoderLayout{family, tp, stages}; };
  table.add({encoder(2, 1)}, 1, 1, 1);
  table.add({encoder(3, 2)}, 2, 1, 2);
  table.add({frozen(encoder(1, 3), false, true)}, 1, 2, 2);
  EncoderLayout dealt = encoder(2, 2);
  dealt.blocks = kSequence;
  dealt.feature_layer = -2;
  table.add({dealt}, 2, 2, 1);
  EncoderLayout context = encoder(1, 2);
  context.sp = 2;
  context.mode = SpMode::ring;
  table.add({context}, 1, 2, 1);
  table.add({encoder(2, 1)}, 2, 1, 2).sharding = Sharding::zero3;
}

/// Means of features in front of the projector: of pictures of 5 x 5 patches, and of sounds of 6 tokens.
void add_pooled(Table& table) {
  const auto pooled = [](const std::string& family, int tp, int stages) {
    EncoderLayout e{family, tp, stages};
    e.avg_pool = 2;
    e.patch_only = family == "clip_wide";
    return e;
  };
  const auto dealt = [&](const std::string& family, SpMode mode) {
    EncoderLayout e = pooled(family, 1, 2);
    e.sp = 2;
    e.mode = mode;
    return e;
  };
  table.add({pooled("clip_wide", 2, 2)}, 2, 1, 1);
  table.add({dealt("clip_wide", SpMode::ring)}, 1, 1, 2);
  table.add({frozen(pooled("whisper", 3, 1), false, true)}, 1, 2, 1);
  EncoderLayout linear = dealt("whisper", SpMode::all_to_all);
  linear.projector = config::ProjectorType::linear;
  table.add({linear}, 2, 1, 1);
  LayoutCase& context = table.add({pooled("clip_wide", 1, 1), dealt("whisper", SpMode::ring_attn)}, 1, 1, 1);
  context.llm_sp = 2;
  table.add({pooled("clip_wide", 1, 1), pooled("whisper", 2, 1)}, 1, 1, 2).sharding = Sharding::zero3;
}

/// A norm and a linear layer behind the means, as Gemma 3 has them.
void add_normed(Table& table) {
  const auto normed = [](int tp, int stages) {
    EncoderLayout e{"clip_wide", tp, stages};
    e.projector = config::ProjectorType::norm_linear;
    e.avg_pool = 2;
    e.patch_only = true;
    return e;
  };
  EncoderLayout dealt = normed(2, 1);
  dealt.blocks = kSequence;
  table.add({dealt}, 2, 1, 1);
  LayoutCase& gemma = table.add({normed(3, 2)}, 1, 2, 2);
  gemma.llm = "gemma3_text";
  gemma.mask = AttentionMask::image_bidirectional;
  EncoderLayout context = frozen(normed(1, 2), false, true);
  context.sp = 2;
  context.mode = SpMode::ring;
  table.add({context}, 1, 1, 2).sharding = Sharding::zero1;
  table.add({normed(2, 1)}, 1, 1, 2).sharding = Sharding::zero3;
}

}  // namespace

void add_families(Table& table) {
  for (const char* family : {"mistral", "qwen2", "qwen3", "gemma3_text"}) add_llm(table, family);
  add_llm(table, "olmo2", SpMode::ring);
  add_masked(table, "olmo2", SpMode::all_to_all, AttentionMask::image_bidirectional);
  add_llm(table, "longrope", SpMode::all_to_all);
  add_llm(table, "dynamic");
  add_masked(table, "longrope", SpMode::ring, AttentionMask::causal);
  add_llm(table, "gemma2");
  add_masked(table, "gemma2", SpMode::all_to_all, AttentionMask::image_bidirectional);
  add_masked(table, "gemma2", SpMode::ring, AttentionMask::modality_isolated);
  add_encoder(table, "siglip_vision_model");
  add_encoder(table, "dinov2");
  add_encoder(table, "qwen2_audio_encoder");
  add_pooled(table);
  add_normed(table);
}

}  // namespace cornstarch::test
