#include "cornstarch/base/text.h"
#include "layouts.h"

namespace cornstarch::test {
namespace {

using config::Checkpointing;

std::string describe(const Blocks& blocks) {
  return cat(
      blocks.checkpointing == Checkpointing::none ? "" : cat(" ", config::name_of(blocks.checkpointing)),
      blocks.tp_sequence_parallel ? " sequence-parallel" : "");
}

std::string describe(const Listed& listed) {
  return cat(listed.only.empty() ? "" : cat(" only ", join(listed.only, " ")),
             listed.except.empty() ? "" : cat(" except ", join(listed.except, " ")));
}

std::string describe(const LayoutCase& c) {
  const auto sp = [](int size, config::SpMode mode) {
    return size > 1 ? cat(" sp", size, " ", config::name_of(mode)) : std::string();
  };
  std::string out = c.name.empty() ? "" : c.name + ": ";
  for (const auto& e : c.encoders)
    out += cat(e.own_sizes ? cat("sizes ", e.merged) : e.family.substr(0, e.family.find("_vision")),
               e.avg_pool > 1 ? " pooled" : "",
               e.projector == config::ProjectorType::mlp ? "" : cat(" ", config::name_of(e.projector)), " tp",
               e.tp, "x", e.stages, sp(e.sp, e.mode), e.train_encoder ? "" : " frozen",
               e.train_projector ? "" : " projector-frozen", e.lora ? " lora" : "", describe(e.listed),
               describe(e.blocks), ", ");
  out += cat(c.llm, " tp", c.llm_tp, "x", c.llm_stages, sp(c.llm_sp, c.mode));
  if (c.llm_sp > 1) out += cat(" ", config::name_of(c.distribution));
  if (c.mask != config::AttentionMask::causal) out += cat(" ", config::name_of(c.mask));
  if (c.packing) out += " packed";
  if (c.first_fit) out += " first fit";
  return cat(out, c.train_llm ? "" : " frozen", c.llm_lora ? " lora" : "",
             c.lora_dropout > 0 ? " dropout" : "", describe(c.llm_listed), describe(c.llm_blocks), ", dp",
             c.dp, c.sharding == config::Sharding::none ? "" : cat(", ", config::name_of(c.sharding)),
             c.whole_replicas ? ", single" : "", c.own_rates ? ", own rates" : "");
}

}  // namespace

EncoderLayout clip(int tp, int stages) { return {"clip_vision_model", tp, stages}; }
EncoderLayout whisper(int tp, int stages) { return {"whisper", tp, stages}; }

EncoderLayout sizes(int tp, int stages, int merged) {
  EncoderLayout e = clip(tp, stages);
  e.own_sizes = true;
  e.merged = merged;
  return e;
}

EncoderLayout qwen2_vl(int tp, int stages) { return {"qwen2_vl_vision", tp, stages}; }
EncoderLayout qwen2_5_vl(int tp, int stages) { return {"qwen2_5_vl_vision", tp, stages}; }

EncoderLayout bare(EncoderLayout e) {
  e.projector = config::ProjectorType::none;
  return e;
}

EncoderLayout frozen(EncoderLayout e, bool train_encoder, bool train_projector) {
  e.train_encoder = train_encoder;
  e.train_projector = train_projector;
  return e;
}

EncoderLayout split(EncoderLayout e, int sp, config::SpMode mode) {
  e.sp = sp;
  e.mode = mode;
  return e;
}

LayoutCase& split(LayoutCase& c, int sp, config::SpMode mode, config::Distribution distribution) {
  c.llm_sp = sp;
  c.mode = mode;
  c.distribution = distribution;
  return c;
}

LayoutCase& Table::add(std::vector<EncoderLayout> encoders, int llm_tp, int llm_stages, int dp,
                       std::string name) {
  LayoutCase c;
  c.name = std::move(name);
  c.encoders = std::move(encoders);
  c.llm_tp = llm_tp;
  c.llm_stages = llm_stages;
  c.dp = dp;
  cases_.push_back(std::move(c));
  return cases_.back();
}

std::vector<LayoutCase> Table::take() {
  for (LayoutCase& c : cases_) c.name = describe(c);
  return std::move(cases_);
}

namespace {

constexpr Blocks kSequence = {Checkpointing::none, true}, kSelective = {Checkpointing::selective, false},
                 kFull = {Checkpointing::full, false}, kSelectiveSequence = {Checkpointing::selective, true},
                 kFullSequence = {Checkpointing::full, true};

EncoderLayout with(Blocks blocks, EncoderLayout e) {
  e.blocks = blocks;
  return e;
}

void add_llm_only(Table& table) {
  for (const int tp : {2, 3, 4}) table.add({}, tp, 1, 1);
  for (const int stages : {2, 3, 4}) table.add({}, 1, stages, 1);
  for (const int dp : {2, 3}) table.add({}, 1, 1, dp);
  table.add({}, 2, 2, 2);
  table.add({}, 3, 2, 1);
  table.add({}, 4, 3, 1);
  for (const int stages : {1, 2, 4})
    for (const int dp : {1, 2}) table.add({}, 1, stages, dp).llm = "gqa_tied";
  table.add({}, 2, 2, 1).llm = "gqa_tied";
  table.add({}, 3, 2, 2).llm = "gqa_tied";
  for (const int tp : {2, 4}) table.add({}, tp, 2, 1).llm = "llama3";
  table.add({}, 2, 3, 1, "fewer microbatches than stages").num_microbatches = 2;
  table.add({}, 2, 1, 3, "one sample a microbatch").microbatch_size = 1;
}

void add_one_encoder(Table& table) {
  for (const int tp : {1, 2, 3, 4}) table.add({clip(tp)}, 1, 1, 1);  // encoder as wide as the LLM, or wider
  for (const int tp : {2, 3, 4}) table.add({clip(1)}, tp, 1, 1);     // narrower
  table.add({clip(2)}, 3, 1, 1);
  table.add({clip(3)}, 2, 2, 1);
  table.add({clip(4)}, 3, 1, 1);
  for (const int stages : {2, 3, 4}) table.add({clip(1, stages)}, 1, 2, 1);
  table.add({clip(2, 2)}, 4, 2, 1);
  table.add({clip(2, 2)}, 1, 1, 2);
  table.add({clip(1)}, 2, 2, 2);
  table.add({clip(1)}, 1, 1, 3);
  for (const int tp : {2, 3}) table.add({whisper(tp)}, 2, 1, 1);
  for (const int stages : {2, 4}) table.add({whisper(1, stages)}, 1, 1, 2);
  table.add({whisper(2, 3)}, 1, 2, 1).llm = "gqa_tied";
  EncoderLayout features = clip(2, 2);
  features.feature_layer = -2;
  features.patch_only = true;
  table.add({features}, 1, 2, 1, "features of the second last layer, patches only");
  EncoderLayout linear = clip(2);
  linear.projector = config::ProjectorType::linear;
  table.add({linear}, 1, 1, 2, "linear projector");
}

void add_two_encoders(Table& table) {
  table.add({clip(), whisper()}, 1, 1, 1);
  table.add({clip(2), whisper()}, 4, 3, 1);
  table.add({clip(2, 2), whisper(3)}, 2, 2, 1);
  table.add({clip(1, 2), whisper(1, 3)}, 1, 2, 2);
  table.add({clip(), clip()}, 2, 1, 1, "two encoders of one family");
  table.add({clip(4), whisper(2, 2)}, 3, 1, 1);
  table.add({clip(), whisper(2)}, 1, 2, 3);
  table.add({clip(), whisper()}, 1, 3, 2).llm = "gqa_tied";
}

/// Every combination of encoder, projector and LLM that trains something, with encoders of one stage and of
/// several.
void add_freezing(Table& table) {
  for (int mask = 1; mask < 8; ++mask) {
    const bool encoder = mask & 1, projector = mask & 2, llm = mask & 4;
    table.add({frozen(clip(), encoder, projector)}, 2, 1, 1).train_llm = llm;
    table.add({frozen(clip(2, 3), encoder, projector)}, 1, 2, 2).train_llm = llm;
  }
  table.add({frozen(clip(1, 2), false, true), frozen(whisper(1, 2), true, false)}, 2, 2, 1).train_llm = false;
  table.add({frozen(clip(1, 2), false, false), frozen(whisper(2), false, true)}, 1, 2, 2).train_llm = false;
}

void add_mixtures(Table& table) {
  SyntheticDataset::Mix text, tail, silent;
  text.media = false;
  tail.text_tail = true;
  silent.no_targets = true;
  table.add({clip(), whisper(2)}, 2, 2, 1, "pure text").mix = text;
  table.add({frozen(clip(1, 2), false, true)}, 1, 2, 2, "pure text").mix = text;
  table.add({clip(2), whisper()}, 1, 2, 2, "text microbatches").mix = tail;
  table.add({frozen(clip(1, 2), false, true)}, 2, 2, 1, "text microbatches").mix = tail;
  table.add({clip(2), whisper()}, 1, 2, 2, "no targets").mix = silent;
  for (const int dp : {1, 2}) {
    LayoutCase& c = table.add({clip(1, 2), whisper()}, 1, 2, dp, "one sample a microbatch");
    c.microbatch_size = 1;
    c.num_microbatches = 6;
    c.mix = tail;
  }
  LayoutCase& c = table.add({frozen(clip(1, 2), false, true)}, 1, 2, 2, "one sample a microbatch");
  c.microbatch_size = 1;
  c.train_llm = false;
}

/// Blocks that compute again what they did not keep, and whose ranks hold shares of the tokens (of which tp 3
/// and 4 get unequal ones: 2 x 48 tokens, or a few items of 5 or 6).
void add_blocks(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, Blocks llm_blocks, int llm_tp, int llm_stages,
                       int dp, const std::string& name = {}) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), llm_tp, llm_stages, dp, name);
    c.llm_blocks = llm_blocks;
    return c;
  };
  for (const Blocks blocks : {kSelective, kFull}) {
    add({}, blocks, 1, 1, 1);
    add({}, blocks, 2, 2, 2).llm = "gqa_tied";
    add({with(blocks, clip(2, 2)), with(blocks, whisper())}, blocks, 1, 2, 1);
    add({with(blocks, frozen(clip(1, 2), false, true))}, blocks, 2, 1, 2).train_llm = false;
  }
  for (const Blocks blocks : {kSequence, kSelectiveSequence, kFullSequence}) {
    add({}, blocks, 3, 1, 1);
    add({}, blocks, 4, 2, 1).llm = "llama3";
    add({}, blocks, 2, 2, 2).llm = "gqa_tied";
    add({with(blocks, clip(2)), with(blocks, whisper(3))}, blocks, 2, 1, 1);
    add({with(blocks, clip(4, 2))}, {}, 1, 2, 2);
    add({with(blocks, whisper(2, 4))}, blocks, 3, 1, 1);
    add({with(blocks, frozen(clip(2, 3), false, true)), with(blocks, frozen(whisper(4), true, false))},
        blocks, 2, 2, 1)
        .train_llm = false;
  }
  SyntheticDataset::Mix tail, silent;
  tail.text_tail = true;
  silent.no_targets = true;
  add({with(kFullSequence, clip(2))}, kSelectiveSequence, 2, 2, 2, "text microbatches").mix = tail;
  add({with(kFull, clip())}, kFullSequence, 2, 2, 1, "no targets").mix = silent;
  add({with(kSelectiveSequence, whisper(3))}, kSequence, 3, 2, 1, "one sample a microbatch").microbatch_size =
      1;
  LayoutCase& sharded = add({with(kFullSequence, clip(2, 2))}, kSelectiveSequence, 3, 1, 2);
  sharded.sharding = config::Sharding::zero1;
}

/// What replicas share between them (whose sizes divide few buckets of these models).
void add_zero1(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, int llm_tp, int llm_stages, int dp,
                       const std::string& name = {}) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), llm_tp, llm_stages, dp, name);
    c.sharding = config::Sharding::zero1;
    return c;
  };
  SyntheticDataset::Mix text, tail, silent;
  text.media = false;
  tail.text_tail = true;
  silent.no_targets = true;
  for (const int dp : {1, 2, 3}) add({}, 1, 1, dp);
  add({}, 2, 1, 3);
  add({}, 3, 2, 2).llm = "gqa_tied";
  add({}, 1, 3, 2).llm = "gqa_tied";
  add({}, 2, 2, 2).llm = "llama3";
  add({clip(2)}, 1, 2, 2);
  add({clip(1, 2), whisper()}, 1, 1, 3);
  add({frozen(clip(1, 2), false, true)}, 2, 1, 2).train_llm = false;
  add({frozen(clip(), true, false), frozen(whisper(), false, false)}, 1, 2, 2).llm = "gqa_tied";
  add({clip(), whisper(2)}, 1, 1, 2, "text microbatches").mix = tail;
  add({clip(), whisper()}, 1, 1, 2, "pure text").mix = text;
  add({clip()}, 1, 1, 2, "no targets").mix = silent;
}

/// Modalities of one stage, whose values replicas share.
void add_zero3(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, int llm_tp, int dp,
                       const std::string& name = {}) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), llm_tp, 1, dp, name);
    c.sharding = config::Sharding::zero3;
    return c;
  };
  SyntheticDataset::Mix text, tail, silent;
  text.media = false;
  tail.text_tail = true;
  silent.no_targets = true;
  for (const int dp : {1, 2, 3}) add({}, 1, dp);
  add({}, 2, 2).llm = "llama3";
  add({}, 1, 3).llm = "gqa_tied";
  add({}, 3, 2).llm = "gqa_tied";
  add({clip()}, 1, 2).llm = "gqa_tied";
  add({clip(2), whisper()}, 1, 2);
  add({whisper(2)}, 2, 3);
  add({frozen(clip(), false, true)}, 1, 2).train_llm = false;
  add({frozen(clip(), false, false)}, 1, 3);
  add({frozen(clip(), true, false), frozen(whisper(), false, true)}, 1, 2).train_llm = false;
  add({clip(), whisper()}, 1, 2, "text microbatches").mix = tail;
  add({frozen(clip(), false, true)}, 2, 3, "text microbatches").mix = tail;
  add({clip()}, 1, 2, "pure text").mix = text;
  add({clip()}, 1, 2, "no targets").mix = silent;
  add({clip(2)}, 2, 2).llm_blocks = {config::Checkpointing::full, true};
  add({clip()}, 1, 2).llm_blocks = {config::Checkpointing::selective, false};
  LayoutCase& c = add({frozen(clip(), false, true)}, 1, 3, "one sample a microbatch");
  c.microbatch_size = 1;
  c.num_microbatches = 6;
  c.train_llm = false;
  c.mix = tail;
}

/// Ranks that hold all modalities, whose replicas end with pictures in different microbatches.
void add_whole_replicas(Table& table) {
  const auto add = [&](std::vector<EncoderLayout> encoders, int dp,
                       config::Sharding sharding) -> LayoutCase& {
    LayoutCase& c = table.add(std::move(encoders), 1, 1, dp);
    c.whole_replicas = true;
    c.sharding = sharding;
    c.microbatch_size = 1;
    c.num_microbatches = 5;
    return c;
  };
  for (const auto sharding : {config::Sharding::none, config::Sharding::zero1, config::Sharding::zero3}) {
    add({clip()}, 2, sharding).llm = "gqa_tied";
    add({clip(), whisper()}, 3, sharding);
    add({frozen(clip(), false, true), whisper()}, 2, sharding).train_llm = false;
    LayoutCase& c = add({with(kFull, clip()), whisper()}, 2, sharding);
    c.llm_blocks = kSelective;
    c.mix.text_tail = true;
  }
}

}  // namespace

std::vector<LayoutCase> layout_cases() {
  Table table;
  add_llm_only(table);
  add_one_encoder(table);
  add_two_encoders(table);
  add_freezing(table);
  add_mixtures(table);
  add_whole_replicas(table);
  add_blocks(table);
  add_zero1(table);
  add_zero3(table);
  add_context_parallel(table);
  add_families(table);
  add_parts(table);
  add_lora(table);
  add_sizes(table);
  return table.take();
}

}  // namespace cornstarch::test
