// Layouts in bf16. A layout adds up in another order than one rank, and in bf16 each partial sum is rounded
// to eight bits: outcomes agree to bf16's own error, and bit by bit only where the order of sums is the same.

#include <ATen/TensorOperators.h>

#include "catch.h"
#include "harness.h"

using namespace cornstarch;
using test::LayoutCase;

namespace {

LayoutCase layout(int llm_tp, int llm_stages, int dp, config::Sharding sharding = config::Sharding::none) {
  LayoutCase c;
  c.name = "bf16";
  c.llm_tp = llm_tp;
  c.llm_stages = llm_stages;
  c.dp = dp;
  c.sharding = sharding;
  return c;
}

test::Trial trial(const LayoutCase& c, config::Precision precision) {
  return {c, config::OptimizerType::adamw, precision};
}

void check_equal(const std::map<std::string, at::Tensor>& a, const std::map<std::string, at::Tensor>& b) {
  REQUIRE(a.size() == b.size());
  for (const auto& [name, value] : a) {
    INFO(name);
    CHECK(value.equal(b.at(name)));
  }
}

}  // namespace

TEST_CASE("bf16: layouts agree with one rank to bf16's error") {
  test::EncoderLayout clip, whisper;
  clip.tp = 2;
  whisper.family = "whisper";
  whisper.stages = 2;
  LayoutCase encoders = layout(2, 2, 1), tied = layout(1, 2, 2, config::Sharding::zero1);
  LayoutCase modules = layout(1, 1, 2, config::Sharding::zero3);
  encoders.encoders = {clip, whisper};
  tied.llm = modules.llm = "gqa_tied";
  modules.encoders = {{}};
  LayoutCase tokens = layout(1, 1, 2);  // one short sample: some ranks hold no target
  tokens.llm_sp = 4;
  tokens.mode = config::SpMode::ring;
  tokens.microbatch_size = 1;
  LayoutCase rounded = tied, rounded_modules = modules;
  rounded.reduce_dtype = rounded_modules.reduce_dtype = config::ReduceDtype::bf16;
  const auto precision = GENERATE(config::Precision::bf16, config::Precision::bf16_pure);
  for (const LayoutCase& c : {layout(1, 1, 2), layout(3, 1, 1), layout(1, 4, 1), encoders, tied, modules,
                              tokens, rounded, rounded_modules}) {
    INFO(c.llm_tp << " " << c.llm_stages << " " << c.dp << " " << config::name_of(precision));
    const auto t = trial(c, precision);
    CHECK(test::differences(test::run_as_threads(t), t, false) == std::vector<std::string>{});
  }
}

TEST_CASE("bf16: masters begin with the first values, no digit of them lost, and are gathered whole") {
  test::EncoderLayout clip, whisper;
  clip.tp = 2;
  whisper.family = "whisper";
  LayoutCase tied = layout(2, 2, 2, config::Sharding::zero1),
             modules = layout(2, 1, 2, config::Sharding::zero3);
  for (LayoutCase* c : {&tied, &modules}) {
    c->llm = "gqa_tied";
    c->encoders = {clip, whisper};
  }
  LayoutCase replicas = tied, one = tied;
  replicas.sharding = config::Sharding::none;
  one.dp = one.llm_tp = one.llm_stages = one.encoders[0].tp = 1;
  one.sharding = config::Sharding::none;
  const double still = 1e-300;  // no update changes a value: nothing in fp32
  const auto first =
      test::run_as_threads({one, config::OptimizerType::adamw, config::Precision::fp32, still});
  for (const LayoutCase& c : {replicas, tied, modules}) {
    INFO(config::name_of(c.sharding));
    auto run = test::run_as_threads({c, config::OptimizerType::adamw, config::Precision::bf16, still});
    CHECK(run.disorder == std::vector<std::string>{});
    const std::string fixed = "audio1/embed_positions.weight";  // never trains: it has no master
    const auto& values = run.unrounded;
    REQUIRE(values.count(fixed) == 1);
    run.unrounded[fixed] = first.parameters.at(fixed);
    check_equal(run.unrounded, first.parameters);
  }
}

TEST_CASE("bf16: ZeRO-1 gives the very bits of replicas that keep everything") {
  const auto precision = GENERATE(config::Precision::bf16, config::Precision::bf16_pure);
  const auto reduce = GENERATE(config::ReduceDtype::fp32, config::ReduceDtype::bf16);
  for (const int dp : {2, 3}) {
    LayoutCase replicas = layout(1, 1, dp), shares = layout(1, 1, dp, config::Sharding::zero1);
    replicas.reduce_dtype = shares.reduce_dtype = reduce;
    const auto whole = test::run_as_threads(trial(replicas, precision));
    const auto shared = test::run_as_threads(trial(shares, precision));
    check_equal(shared.gradients, whole.gradients);
    check_equal(shared.parameters, whole.parameters);
  }
}

TEST_CASE("bf16: ZeRO-3 adds up in fp32 what replicas that keep everything add up in fp32") {
  test::EncoderLayout clip;
  clip.tp = 2;
  LayoutCase c = layout(2, 1, 2);
  c.llm = "gqa_tied";
  c.encoders = {clip};
  const auto whole = test::run_as_threads(trial(c, config::Precision::bf16));
  c.sharding = config::Sharding::zero3;
  const auto shared = test::run_as_threads(trial(c, config::Precision::bf16));
  REQUIRE(shared.gradients.size() == whole.gradients.size());
  for (const auto& [name, value] : shared.gradients) {
    INFO(name);
    const at::Tensor& expected = whole.gradients.at(name);
    CHECK((value - expected).abs().max().item<double>() <= 1e-5 * expected.abs().max().item<double>());
  }
}
