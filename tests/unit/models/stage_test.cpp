#include "cornstarch/models/stage.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/avg_pool1d.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <map>

#include "cornstarch/base/result.h"
#include "model_fixture.h"

using namespace cornstarch;
using fixture::Modality;
using models::Parameter;
using models::Stage;

namespace {

std::map<std::string, Parameter> by_name(Stage& stage) {
  std::map<std::string, Parameter> out;
  for (const Parameter& p : stage.parameters()) out.emplace(p.full_name(), p);
  return out;
}

// All ranks' parameters, under tp ranks.
std::vector<std::vector<Parameter>> sharded(const Modality& m, int tp, const std::vector<int>& modules) {
  std::vector<std::vector<Parameter>> ranks(static_cast<std::size_t>(tp));
  comm::run_threads(tp, {}, [&](const comm::CommunicatorPtr& c) {
    Stage stage(m, modules, c->world(), {at::kDouble, 7});
    ranks[static_cast<std::size_t>(c->rank())] = stage.parameters();
  });
  return ranks;
}

/// Ids alone: nothing is to be learnt.
models::Text text_of(const at::Tensor& ids, std::size_t encoders) {
  return models::make_text(ids, at::full_like(ids, -100), encoders, 53);
}

}  // namespace

TEST_CASE("initial values are slices of one global tensor in every layout", "[models]") {
  Modality m = fixture::llama(false);
  Stage one = fixture::whole(m);
  const auto global = by_name(one);
  for (const int tp : {2, 3, 4}) {
    for (const auto& rank : sharded(m, tp, fixture::all_modules(m))) {
      REQUIRE(rank.size() == global.size());
      for (const Parameter& p : rank) {
        CAPTURE(tp, p.full_name(), p.offset);
        const at::Tensor& all = global.at(p.full_name()).value;
        CHECK(p.value.equal(p.split_dim < 0 ? all
                                            : all.narrow(p.split_dim, p.offset, p.value.size(p.split_dim))));
      }
    }
  }
}

TEST_CASE("initial values follow the spec: deviation, ones, zeros, sinusoids; seed and dtype", "[models]") {
  Modality m = fixture::whisper();
  Stage stage = fixture::whole(m);
  const auto p = by_name(stage);
  const at::Tensor weight = p.at("audio/layers.0.fc1.weight").value;
  CHECK(weight.mean().item<double>() == Approx(0).margin(0.02));
  CHECK(weight.std().item<double>() == Approx(0.2).epsilon(0.05));
  CHECK(weight[0][1].item<double>() == 0.2 * Philox(7, "audio/layers.0.fc1.weight").normal(1));
  CHECK(p.at("audio/layers.0.fc1.bias").value.abs().max().item<double>() == 0);
  CHECK(p.at("audio/layer_norm.weight").value.min().item<double>() == 1);
  const at::Tensor positions = p.at("audio/embed_positions.weight").value;
  CHECK(positions[3][0].item<double>() == Approx(std::sin(3.0)));
  CHECK(positions[5][12].item<double>() == Approx(std::cos(5.0)));
  CHECK(positions[2][23].item<double>() == Approx(std::cos(2e-4)));

  Stage other = fixture::whole(m, at::kFloat, 8);
  const auto q = by_name(other);
  CHECK(q.at("audio/layers.0.fc1.weight").value.scalar_type() == at::kFloat);
  CHECK_FALSE(q.at("audio/layers.0.fc1.weight").value.to(at::kDouble).allclose(weight));
}

TEST_CASE("parameters know whether they train and whether they count", "[models]") {
  Modality m = fixture::whisper();
  set_trains(m.spec.modules[3], false);  // layers.0
  for (const auto& rank : sharded(m, 2, fixture::all_modules(m))) {
    for (const Parameter& p : rank) {
      CAPTURE(p.full_name());
      const bool frozen = p.spec->name.rfind("layers.0.", 0) == 0 || p.spec->name == "embed_positions.weight";
      CHECK(p.trains == !frozen);
      CHECK(p.value.requires_grad() == p.trains);
    }
  }
  const auto ranks = sharded(m, 2, fixture::all_modules(m));
  for (std::size_t i = 0; i < ranks[0].size(); ++i) {
    CHECK(ranks[0][i].counts);
    CHECK(ranks[1][i].counts == (ranks[1][i].split_dim >= 0));
  }
}

TEST_CASE("a tied head shares the embedding's tensor within a stage, and its initial value across stages",
          "[models]") {
  const Modality m = fixture::llama(true);
  Stage one = fixture::whole(m);
  CHECK(by_name(one).count("llm/lm_head.weight") == 0);

  const auto first = sharded(m, 3, {0}), last = sharded(m, 3, {4});
  for (std::size_t r = 0; r < 3; ++r) {
    REQUIRE(last[r].size() == 1);
    CHECK(last[r][0].full_name() == "llm/lm_head.weight");
    CHECK(last[r][0].tied_to == "llm/model.embed_tokens.weight");
    CHECK(last[r][0].value.equal(first[r][0].value));
    CHECK(last[r][0].counts);
    CHECK(first[r][0].counts);
    CHECK(first[r][0].tied_to.empty());
  }
}

TEST_CASE("modules that are not used hold their parameters and are not run", "[models]") {
  Modality m = fixture::whisper();
  const at::Tensor media = fixture::input_of(m).media;
  Stage full = fixture::whole(m);
  const std::size_t num_parameters = full.parameters().size();
  m.used[4] = m.used[5] = false;  // layers.1, layer_norm
  Stage skipping = fixture::whole(m);
  CHECK(skipping.parameters().size() == num_parameters);
  Stage prefix(m, {0, 1, 2, 3}, comm::alone()->world(), {at::kDouble, 7});
  CHECK(skipping.forward(media).equal(prefix.forward(media)));
  CHECK_FALSE(full.forward(media).equal(prefix.forward(media)));
}

TEST_CASE("features leave an encoder as rows, without the tokens that feature_select drops", "[models]") {
  Modality m = fixture::clip();
  fixture::add_projector(m, 17, false);
  const at::Tensor media = fixture::input_of(m).media;
  Stage all = fixture::whole(m);
  const at::Tensor five = all.forward(media);
  CHECK(five.sizes() == at::IntArrayRef({3 * 5, 17}));
  m.drop_tokens = 1;
  Stage patches = fixture::whole(m);
  const at::Tensor four = patches.forward(media);
  CHECK(four.sizes() == at::IntArrayRef({3 * 4, 17}));
  CHECK(four.view({3, 4, 17}).allclose(five.view({3, 5, 17}).narrow(1, 1, 4), 1e-12, 1e-12));
}

// Means and a linear layer can change places.
TEST_CASE("features are averaged as AvgPool2d and AvgPool1d do", "[models]") {
  const auto features = [](Modality m, const catalog::AvgPool* pool) {
    fixture::add_projector(m, 17, false);
    m.drop_tokens = m.spec.leading_tokens;
    if (pool != nullptr) std::get<catalog::Projector>(m.spec.modules.back().body).pool = *pool;
    Stage stage = fixture::whole(m);
    return stage.forward(fixture::input_of(m).media).view({3, -1, 17}).transpose(1, 2);
  };
  const Modality pictures = fixture::modality("vision", "clip_vision_model", R"({"hidden_size": 24,
      "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 12, "image_size": 20, "patch_size": 4,
      "initializer_range": 0.2})");
  const catalog::AvgPool square{5, 5, 2, 2};
  CHECK(square.places() == 4);
  CHECK(features(pictures, &square)
            .allclose(at::avg_pool2d(features(pictures, nullptr).unflatten(2, {5, 5}), 2).flatten(2)));
  const Modality sounds = fixture::whisper();
  const catalog::AvgPool pairs{1, 6, 1, 4};
  CHECK(pairs.places() == 1);
  CHECK(features(sounds, &pairs).allclose(at::avg_pool1d(features(sounds, nullptr), 4)));
}

TEST_CASE("embed puts feature rows at their placeholders, in order", "[models]") {
  const Modality m = fixture::llama(false);
  Stage stage = fixture::whole(m);
  const at::Tensor ids = at::tensor({3, -2, -1, 4, -1, 5}, at::kLong).view({2, 3});
  const at::Tensor a = fixture::noise({2, 24}, 1), b = fixture::noise({1, 24}, 2);
  const at::Tensor table = by_name(stage).at("llm/model.embed_tokens.weight").value;
  const at::NoGradGuard no_grad;
  const at::Tensor hidden = stage.embed(text_of(ids, 2), {a, b});
  REQUIRE(hidden.sizes() == at::IntArrayRef({2, 3, 24}));
  CHECK(hidden[0][0].equal(table[3]));
  CHECK(hidden[0][1].equal(b[0]));
  CHECK(hidden[0][2].equal(a[0]));
  CHECK(hidden[1][0].equal(table[4]));
  CHECK(hidden[1][1].equal(a[1]));
  CHECK(hidden[1][2].equal(table[5]));
}

TEST_CASE("embed refuses what does not fit", "[models]") {
  const Modality m = fixture::llama(false);
  Stage stage = fixture::whole(m);
  const at::Tensor ids = at::tensor({3, -1, -1, 4}, at::kLong).view({1, 4});
  const at::Tensor row = fixture::noise({1, 24}, 1);
  CHECK_THROWS_WITH(stage.embed(text_of(ids, 1), {row}), "encoder 0: 2 placeholders for 1 feature rows");
  CHECK_THROWS_WITH(stage.embed(text_of(ids, 1), {at::Tensor()}),
                    "encoder 0: 2 placeholders for 0 feature rows");
  CHECK_THROWS_WITH(text_of(at::full_like(ids, 53), 0), "token id 53 is outside of the vocabulary of 53");
  CHECK_THROWS_WITH(text_of(ids, 0), "placeholder -1 for 0 encoders");
  CHECK_THROWS_AS(stage.embed(text_of(ids, 1), {row}), Failure);
}

TEST_CASE("the loss is that of the next labels, over rows with a target only", "[models]") {
  const Modality m = fixture::llama(false);
  const at::Tensor hidden = fixture::noise({2, 5, 24}, 3);
  const at::Tensor labels =
      at::tensor({9, -100, 7, 8, -100, -100, 50, -100, -100, 2}, at::kLong).view({2, 5});
  const int tp = GENERATE(1, 3);
  std::vector<at::Tensor> losses(static_cast<std::size_t>(tp)), ids(losses), logits(losses), zeros(losses);
  comm::run_threads(tp, {}, [&](const comm::CommunicatorPtr& c) {
    Stage stage(m, {4}, c->world(), {at::kDouble, 7});
    const auto r = static_cast<std::size_t>(c->rank());
    losses[r] = stage.loss(hidden, models::make_text(at::zeros_like(labels), labels, 0, 53)).detach();
    logits[r] = stage.logits(hidden.flatten(0, 1)).detach();
    ids[r] = stage.argmax(hidden.flatten(0, 1));
    zeros[r] = stage.loss(hidden, text_of(at::zeros_like(labels), 0));
  });
  const at::Tensor rows = at::tensor({1, 2, 5, 8}, at::kLong), targets = at::tensor({7, 8, 50, 2}, at::kLong);
  const at::Tensor expected = at::cross_entropy_loss(logits[0].index_select(0, rows), targets, {}, 2);
  for (std::size_t r = 0; r < losses.size(); ++r) {
    CHECK(logits[r].sizes() == at::IntArrayRef({10, 53}));
    CHECK(losses[r].item<double>() == Approx(expected.item<double>()).epsilon(1e-12));
    CHECK(ids[r].equal(at::argmax(logits[0], 1)));
    CHECK(zeros[r].item<double>() == 0);
    CHECK(zeros[r].dim() == 0);
    CHECK_FALSE(zeros[r].requires_grad());
  }
}
