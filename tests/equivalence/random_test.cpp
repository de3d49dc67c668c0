// Layouts that nobody thought of: drawn at random, each compared with one rank in fp64.
//
// CORNSTARCH_SEED=7 CORNSTARCH_LAYOUTS=1000 equivalence_test "[random]"; with CORNSTARCH_ONLY=42, the 42nd of
// them. The same with "[sizes]": of each, an encoder takes items of different sizes.

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <random>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "harness.h"

using namespace cornstarch;
using namespace cornstarch::test;

namespace {

constexpr int kMaxRanks = 16;

long number(const char* name, long otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atol(value) : otherwise;
}

class Draw {
 public:
  /// `sizes`: every encoder that can takes items of different sizes.
  Draw(std::uint64_t seed, bool sizes) : random_(seed), sizes_(sizes) {}

  LayoutCase layout() {
    Table table;
    std::vector<EncoderLayout> encoders;
    for (int n = of({0, 1, 1, 2}); n > 0; --n) encoders.push_back(encoder());
    const int dp = size(3), stages = size(4),
              tp = size(4);  // one after the other: the same of every compiler
    LayoutCase& c = table.add(std::move(encoders), tp, stages, dp);
    c.llm = of<std::string>({"mha", "gqa_tied", "llama3"});
    c.train_llm = !rarely();
    c.llm_blocks = blocks(c.llm_tp);
    c.microbatch_size = between(1, 3);
    c.num_microbatches = between(1, 5);
    c.sharding = of(
        {config::Sharding::none, config::Sharding::none, config::Sharding::zero1, config::Sharding::zero3});
    c.mix = {!rarely(), rarely(), rarely() && rarely()};
    c.llm_sp = size(4);
    c.mode = mode(c.llm_tp * c.llm_sp, c.llm == "mha" ? 12 : c.llm == "gqa_tied" ? 6 : 4);
    c.distribution =
        of({config::Distribution::uniform, config::Distribution::zigzag, config::Distribution::makespan});
    c.mask = of({config::AttentionMask::causal, config::AttentionMask::causal,
                 config::AttentionMask::image_bidirectional, config::AttentionMask::modality_isolated});
    c.packing = rarely();
    c.whole_replicas = rarely();
    c.llm_listed = listed({"model.embed_tokens", "model.layers.0", "model.layers.1", "model.layers.2",
                           "model.layers.3", "model.norm", "lm_head"});
    c.own_rates = rarely();
    c.llm_lora = c.train_llm && c.llm_listed == Listed{} && rarely();
    c.lora_dropout = of({0.0, 0.4});
    if (c.sharding == config::Sharding::zero3) {
      c.llm_stages = 1;
      for (EncoderLayout& e : c.encoders) e.stages = 1;
    }
    return table.take().front();
  }

  config::OptimizerType optimizer() { return of({config::OptimizerType::sgd, config::OptimizerType::adamw}); }

 private:
  int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  template <typename T>
  T of(std::initializer_list<T> choices) {
    return choices.begin()[between(0, static_cast<int>(choices.size()) - 1)];
  }
  bool rarely() { return between(0, 3) == 0; }
  /// Mostly 1, or the product of all of them were too many ranks.
  int size(int most) { return rarely() || rarely() ? between(2, most) : 1; }
  /// all_to_all wants whole heads for each of `ranks`, as validate says where a mode is written down.
  config::SpMode mode(int ranks, int heads) {
    const bool whole = heads % ranks == 0;
    return of({whole ? config::SpMode::all_to_all : config::SpMode::ring, config::SpMode::ring_attn,
               config::SpMode::ring});
  }
  Blocks blocks(int tp) {
    return {of({config::Checkpointing::none, config::Checkpointing::none, config::Checkpointing::selective,
                config::Checkpointing::full}),
            tp > 1 && rarely()};
  }

  /// Mostly none; else some modules, which are those that train or those that do not.
  Listed listed(const std::vector<std::string>& modules) {
    Listed out;
    if (!rarely()) return out;
    std::vector<std::string>& list = rarely() ? out.except : out.only;
    for (const std::string& module : modules)
      if (between(0, 1) == 0) list.push_back(module);
    return out;
  }

  EncoderLayout encoder() {
    EncoderLayout e = of({clip(), whisper()});
    e.tp = size(4);
    e.stages = size(4);
    e.train_encoder = !rarely();
    e.train_projector = !rarely();
    e.feature_layer = rarely() ? -2 : -1;
    e.patch_only = e.family != "whisper" && rarely();
    if (rarely()) e.projector = config::ProjectorType::linear;
    e.blocks = blocks(e.tp);
    e.sp = size(3);
    e.mode = mode(e.tp * e.sp, 12);
    const std::string layers = e.family == "whisper" ? "layers." : "vision_model.encoder.layers.";
    e.listed = listed({layers + "0", layers + "1", layers + "2", "projector"});
    e.own_sizes = e.family != "whisper" && !e.patch_only && (sizes_ || rarely());
    e.merged = e.own_sizes ? of({1, 4}) : 1;
    e.lora = e.train_encoder && e.listed == Listed{} && rarely();
    return e;
  }

  std::mt19937_64 random_;
  bool sizes_;
};

bool trains(const LayoutCase& c) {
  bool any = c.train_llm;
  for (const EncoderLayout& e : c.encoders) any = any || e.train_encoder || e.train_projector;
  return any;
}

/// What validate says against it, or nothing.
std::string refused(const LayoutCase& c) {
  Diagnostics diagnostics;
  return catalog::resolve({run_config(c, false), {}}, diagnostics) ? "" : render_text(diagnostics);
}

bool any_sizes(const LayoutCase& c) {
  return std::ranges::any_of(c.encoders, [](const EncoderLayout& e) { return e.own_sizes; });
}

/// Compares so many layouts, unless the environment wants others; returns those that were drawn.
std::vector<LayoutCase> compare(bool sizes, long usual) {
  const long seed = number("CORNSTARCH_SEED", 1), only = number("CORNSTARCH_ONLY", 0),
             wanted = number("CORNSTARCH_LAYOUTS", std::max(usual, only));
  Draw draw(static_cast<std::uint64_t>(seed), sizes);
  std::vector<LayoutCase> drawn;
  int refusals = 0;
  while (std::ssize(drawn) < wanted) {
    const Trial trial{draw.layout(), draw.optimizer(), config::Precision::fp64};
    const LayoutCase& c = trial.layout;
    if (!trains(c) || test::world_size(c) > kMaxRanks || (sizes && !any_sizes(c))) continue;
    if (!refused(c).empty()) {
      ++refusals;
      REQUIRE(refusals < wanted);
      continue;
    }
    drawn.push_back(c);
    if (std::ssize(drawn) != only && only > 0) continue;
    INFO("layout " << drawn.size() << " of seed " << seed << ": " << trial.name() << ", "
                   << c.num_microbatches << " x " << c.microbatch_size << ", media " << c.mix.media
                   << " tail " << c.mix.text_tail << " silent " << c.mix.no_targets);
    CHECK(differences(run_as_threads(trial), trial, false) == std::vector<std::string>{});
  }
  std::cout << wanted << " layouts of seed " << seed << ", " << refusals << " more refused by validate\n";
  return drawn;
}

}  // namespace

TEST_CASE("random layouts compute what one rank computes", "[.random]") { compare(false, 300); }

TEST_CASE("so do random layouts of items of different sizes", "[sizes]") {
  const std::vector<LayoutCase> drawn = compare(true, 60);
  if (drawn.size() < 60) return;
  const auto of_sizes = [&](auto holds) {
    return std::ranges::count_if(drawn, [&](const LayoutCase& c) {
      return std::ranges::any_of(c.encoders, [&](const EncoderLayout& e) { return e.own_sizes && holds(e); });
    });
  };
  const auto llms = [&](auto holds) { return std::ranges::count_if(drawn, holds); };
  CHECK(of_sizes([](const EncoderLayout& e) { return e.tp > 1; }) >= 10);
  CHECK(of_sizes([](const EncoderLayout& e) { return e.stages > 1; }) >= 10);
  for (const config::SpMode mode : kModes) {
    CAPTURE(config::name_of(mode));
    CHECK(of_sizes([&](const EncoderLayout& e) { return e.sp > 1 && e.mode == mode; }) >= 5);
    CHECK(llms([&](const LayoutCase& c) { return c.llm_sp > 1 && c.mode == mode; }) >= 3);
  }
  CHECK(llms([](const LayoutCase& c) { return c.dp > 1; }) >= 10);
  CHECK(of_sizes([](const EncoderLayout& e) { return !e.train_encoder; }) >= 10);
  CHECK(of_sizes([](const EncoderLayout& e) { return !e.train_projector; }) >= 10);
  CHECK(llms([](const LayoutCase& c) { return !c.train_llm; }) >= 10);
}
