#include <ATen/TensorOperators.h>

#include <algorithm>

#include "model_fixture.h"

// Any cut into stages on any number of tensor-parallel ranks computes what one stage on one rank does.
namespace {

using namespace cornstarch;
using fixture::Modality;
using fixture::Outcome;

void expect_close(const at::Tensor& got, const at::Tensor& expected) {
  REQUIRE(got.defined());
  REQUIRE(got.sizes() == expected.sizes());
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  CHECK((got - expected).abs().max().item<double>() <= 1e-9 * scale);
}

// Every parameter that trains has a gradient that is not zero throughout, but for a bias that a softmax
// cancels out.
void expect_live(const Outcome& outcome) {
  for (const auto& [name, gradient] : outcome.gradients) {
    INFO(name);
    const bool cancels = name.find("k_proj.bias") != std::string::npos;
    CHECK((cancels || gradient.abs().max().item<double>() > 1e-6));
  }
}

std::size_t num_trained(const Modality& m) {
  std::size_t n = 0;
  for (const auto& module : m.spec.modules)
    for (const auto& p : module.params) n += p.trains && p.tied_to.empty() ? 1 : 0;
  return n;
}

/// How a block computes: what it keeps for backward, and what its ranks hold between the products.
struct Way {
  config::Checkpointing checkpointing = config::Checkpointing::none;
  bool tp_sequence_parallel = false;
};
constexpr Way kPlain = {};
constexpr Way kWays[] = {
    {config::Checkpointing::none, true},      {config::Checkpointing::selective, false},
    {config::Checkpointing::selective, true}, {config::Checkpointing::full, false},
    {config::Checkpointing::full, true},
};

Modality in_way(Modality m, Way way, int tp) {
  m.checkpointing = way.checkpointing;
  m.tp_sequence_parallel = way.tp_sequence_parallel && tp > 1;
  return m;
}

void expect_invariant(const Modality& m, const std::vector<std::vector<int>>& cuts, Way way = kPlain) {
  const fixture::Input input = fixture::input_of(m);
  const Outcome one = fixture::run(m, fixture::cut(m, {}), 1, input);
  CHECK(one.gradients.size() == num_trained(m));
  expect_live(one);
  for (const int tp : {1, 2, 3, 4}) {
    for (const auto& at : cuts) {
      CAPTURE(m.name, tp, at, static_cast<int>(way.checkpointing), way.tp_sequence_parallel);
      const Outcome got = fixture::run(in_way(m, way, tp), fixture::cut(m, at), tp, input);
      expect_close(got.output, one.output);
      REQUIRE(got.gradients.size() == one.gradients.size());
      for (const auto& [name, gradient] : one.gradients) {
        INFO(name);
        expect_close(got.gradients.at(name), gradient);
      }
      for (std::size_t e = 0; e < one.feature_gradients.size(); ++e) {
        expect_close(got.feature_gradients[e], one.feature_gradients[e]);
      }
    }
  }
}

std::vector<int> everywhere(const Modality& m) {
  std::vector<int> at = fixture::all_modules(m);
  at.erase(at.begin());
  return at;
}

}  // namespace

TEST_CASE("llama computes the same in every layout", "[models]") {
  const bool tied = GENERATE(false, true);
  const Modality m = fixture::llama(tied);
  expect_invariant(m, {{}, {2}, {1, 2, 4}, {4}, everywhere(m)});
}

TEST_CASE("clip computes the same in every layout", "[models]") {
  Modality m = fixture::clip();
  const bool mlp = GENERATE(false, true);
  fixture::add_projector(m, 17, mlp);
  m.drop_tokens = 1;
  expect_invariant(m, {{}, {3}, {1, 5}, everywhere(m)});
}

TEST_CASE("whisper computes the same in every layout", "[models]") {
  Modality m = fixture::whisper();
  fixture::add_projector(m, 17, true);
  expect_invariant(m, {{}, {1}, {2, 4}, everywhere(m)});
}

TEST_CASE("blocks compute the same, whatever they keep and however they hold their tokens", "[models]") {
  Modality clip = fixture::clip(), whisper = fixture::whisper();
  fixture::add_projector(clip, 17, true);
  fixture::add_projector(whisper, 17, false);
  for (const Way way : kWays) {
    expect_invariant(fixture::llama(true), {{}, {2}}, way);
    expect_invariant(clip, {{}, {3}}, way);
    expect_invariant(whisper, {{4}}, way);
  }
}

TEST_CASE("a frozen part of a model gets no gradients, and the rest the same ones", "[models]") {
  Modality m = fixture::clip();
  fixture::add_projector(m, 17, true);
  const fixture::Input input = fixture::input_of(m);
  const Outcome all = fixture::run(m, fixture::cut(m, {}), 2, input);
  const std::vector<std::size_t> trained =
      GENERATE(std::vector<std::size_t>{5}, std::vector<std::size_t>{2, 3}, std::vector<std::size_t>{});
  for (auto& module : m.spec.modules) set_trains(module, false);
  for (const std::size_t module : trained) set_trains(m.spec.modules[module], true);
  const Way way = GENERATE(from_range(std::begin(kWays), std::end(kWays)));
  for (const Way w : {kPlain, way}) {
    const Outcome some = fixture::run(in_way(m, w, 2), fixture::cut(m, {}), 2, input);
    CHECK(some.gradients.size() == num_trained(m));
    expect_close(some.output, all.output);
    for (const auto& [name, gradient] : some.gradients) expect_close(gradient, all.gradients.at(name));
  }
}
