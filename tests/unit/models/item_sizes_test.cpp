#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include "catch.h"
#include "cornstarch/models/split_tokens.h"
#include "cornstarch/plan/item_layout.h"
#include "model_fixture.h"

using namespace cornstarch;
using namespace fixture;

namespace {

/// CLIP's layers over rows of numbers, of items of any size; four tokens make a feature.
Modality any_size() {
  Modality m = clip();
  catalog::ModuleSpec& first = m.spec.modules.front();
  first.body = catalog::Norm{{catalog::NormKind::layer_norm, 1e-5, 24, first.name}};
  first.params = {
      {.name = first.name + ".weight", .shape = {24}, .init = catalog::Init::normal, .init_std = 1},
      {.name = first.name + ".bias", .shape = {24}}};
  catalog::set_trains(first, true);
  for (catalog::ModuleSpec& module : m.spec.modules)
    if (auto* block = std::get_if<catalog::BlockSpec>(&module.body)) block->attention.rope.emplace();
  m.spec.item_shape = {24};
  m.spec.leading_tokens = 0;
  add_projector(m, 5, false);
  auto& projector = std::get<catalog::Projector>(m.spec.modules.back().body);
  projector.merged = 4;
  projector.out_proj.in = 96;
  m.spec.modules.back().params.front().shape = {5, 96};
  return m;
}

models::Tokens tokens_of(const plan::ItemLayout& items) {
  return models::split_tokens(items.token_layout(), items.encoder());
}

double distance(const at::Tensor& a, const at::Tensor& b) { return (a - b).abs().max().item<double>(); }

}  // namespace

TEST_CASE("items of different sizes, one behind the other, give what each gives alone") {
  const Modality m = any_size();
  models::Stage stage = whole(m);
  const std::vector<catalog::Extents> sizes = {{1, 2, 2}, {3, 2, 2}, {1, 1, 4}, {1, 2, 4}};
  std::vector<at::Tensor> media, features;
  for (const catalog::Extents& size : sizes) {
    media.push_back(noise({1, size.places(), 24}, 3 + media.size()));
    features.push_back(stage.forward(media.back(), tokens_of({m, 1, {size}})));
    CHECK(features.back().sizes() == at::IntArrayRef({size.places() / 4, 5}));
  }
  const at::Tensor together = stage.forward(at::cat(media, 1), tokens_of({m, 1, sizes}));
  CHECK(together.sizes() == at::IntArrayRef({7, 5}));
  CHECK(distance(together, at::cat(features, 0)) < 1e-12);
}

TEST_CASE("a merger joins tokens that stand one behind the other") {
  const Modality m = any_size();
  models::Stage stage = whole(m);
  const std::vector<int> all = all_modules(m);
  models::Stage layers(m, {all.begin(), all.end() - 1}, comm::alone()->world(), {at::kDouble, 7});
  models::Stage projector(m, {all.back()}, comm::alone()->world(), {at::kDouble, 7});
  const plan::ItemLayout items(m, 1, {{1, 2, 4}});
  const at::Tensor media = noise({1, 8, 24}, 3);
  const at::Tensor tokens = layers.forward(media, tokens_of(items));
  const models::Parameter& weight = projector.parameters().front();
  const at::Tensor wanted = tokens.view({2, 96}).matmul(weight.value.t()) + projector.parameters()[1].value;
  CHECK(distance(stage.forward(media, tokens_of(items)), wanted) < 1e-12);
}
