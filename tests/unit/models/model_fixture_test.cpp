#include <ATen/ops/arange.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>

#include <numeric>

#include "model_fixture.h"

namespace fixture {
namespace {

using namespace cornstarch;
using models::Stage;

struct RankResult {
  at::Tensor output;
  std::vector<models::Parameter> parameters;  // keep value and gradient
  std::vector<at::Tensor> feature_gradients;
};

at::Tensor as_input(const at::Tensor& x) { return x.detach().clone().set_requires_grad(true); }

RankResult run_encoder(std::vector<Stage>& stages, const Input& input) {
  std::vector<at::Tensor> ins, outs;
  for (Stage& stage : stages) {
    ins.push_back(outs.empty() ? input.media : as_input(outs.back()));
    outs.push_back(stage.forward(ins.back()));
  }
  at::Tensor grad = noise(outs.back().sizes().vec(), 77);
  for (std::size_t i = stages.size(); i-- > 0;) {
    if (outs[i].requires_grad()) outs[i].backward(grad);
    grad = ins[i].grad();
  }
  return {outs.back().detach(), {}, {}};
}

RankResult run_llm(std::vector<Stage>& stages, const Input& input, std::int64_t vocab) {
  std::vector<at::Tensor> features, ins, outs;
  for (const at::Tensor& rows : input.features) features.push_back(as_input(rows));
  const models::Text text = models::make_text(input.ids, input.labels, features.size(), vocab);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    ins.push_back(i == 0 ? at::Tensor() : as_input(outs.back()));
    const at::Tensor hidden = i == 0 ? stages[i].embed(text, features) : ins.back();
    outs.push_back(stages[i].transform(hidden));
    if (stages[i].has_head()) outs.back() = stages[i].loss(outs.back(), text);
  }
  outs.back().backward();
  for (std::size_t i = stages.size() - 1; i-- > 0;) outs[i].backward(ins[i + 1].grad());
  RankResult result{outs.back().detach(), {}, {}};
  for (const at::Tensor& rows : features) result.feature_gradients.push_back(rows.grad());
  return result;
}

RankResult run_rank(const Modality& m, const std::vector<std::vector<int>>& cuts, const comm::GroupPtr& tp,
                    const Input& input) {
  std::vector<Stage> stages;
  models::StageOptions options{at::kDouble, 7};
  options.where = where_of(m, tp->size());
  for (const auto& modules : cuts) stages.emplace_back(m, modules, tp, options);
  RankResult result =
      catalog::is_llm(m) ? run_llm(stages, input, m.spec.vocab_size) : run_encoder(stages, input);
  for (Stage& stage : stages) {
    for (const models::Parameter& p : stage.parameters()) result.parameters.push_back(p);
  }
  return result;
}

void add_gradient(std::map<std::string, at::Tensor>& gradients, const models::Parameter& p, bool first_rank) {
  if (!p.value.grad().defined()) return;
  const std::string name = p.tied_to.empty() ? p.full_name() : p.tied_to;
  at::Tensor& whole = gradients[name];
  if (!whole.defined()) whole = at::zeros(p.spec->shape, at::kDouble);
  if (p.split_dim >= 0) {
    whole.narrow(p.split_dim, p.offset, p.value.size(p.split_dim)).add_(p.value.grad());
  } else if (p.partial_over_tp || first_rank) {
    whole.add_(p.value.grad());
  } else {
    INFO(name);
    CHECK(whole.equal(p.value.grad()));
  }
}

}  // namespace

void add_projector(Modality& m, std::int64_t out, bool mlp) {
  catalog::Projector body;
  catalog::ModuleSpec module{.name = "projector", .body = {}, .params = {}};
  const auto linear = [&](const std::string& prefix, std::int64_t in, int split_dim) {
    catalog::ParamSpec weight{.name = prefix + ".weight", .shape = {out, in}, .split = {split_dim, 1}};
    weight.init = catalog::Init::normal;
    weight.init_std = 0.1;
    catalog::ParamSpec bias{.name = prefix + ".bias", .shape = {out}, .split = {split_dim == 0 ? 0 : -1, 1}};
    bias.init = catalog::Init::normal;
    bias.init_std = 0.1;
    module.params.push_back(weight);
    module.params.push_back(bias);
    return catalog::LinearSpec{prefix, in, out, true};
  };
  if (mlp) {
    body.in_proj = linear("projector.in_proj", m.spec.hidden_size, 0);
    body.out_proj = linear("projector.out_proj", out, 1);
  } else {
    body.out_proj = linear("projector.projection", m.spec.hidden_size, -1);
  }
  module.body = body;
  set_trains(module, true);
  m.spec.modules.push_back(module);
  m.used.push_back(true);
}

Modality llama(bool tied) {
  return modality("llm", "llama",
                  cat(R"({"vocab_size": 53, "hidden_size": 24, "intermediate_size": 37,
    "num_hidden_layers": 2, "num_attention_heads": 24, "num_key_value_heads": 12, "head_dim": 4, "attention_bias": true,
    "mlp_bias": true, "initializer_range": 0.2, "tie_word_embeddings": )",
                      tied ? "true" : "false", "}"));
}

Modality clip() {
  return modality("vision", "clip_vision_model", R"({"hidden_size": 24, "intermediate_size": 37,
    "num_hidden_layers": 2, "num_attention_heads": 12, "image_size": 9, "patch_size": 4,
    "initializer_range": 0.2, "num_channels": 2})");
}

Modality whisper() {
  return modality("audio", "whisper", R"({"d_model": 24, "encoder_ffn_dim": 37, "encoder_layers": 2,
    "encoder_attention_heads": 12, "num_mel_bins": 5, "max_source_positions": 6, "init_std": 0.2})");
}

std::vector<int> all_modules(const Modality& m) {
  std::vector<int> all(m.spec.modules.size());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

Stage whole(const Modality& m, at::ScalarType dtype, std::uint64_t seed) {
  return Stage(m, all_modules(m), comm::alone()->world(), {dtype, seed});
}

std::vector<std::vector<int>> cut(const Modality& m, const std::vector<int>& at) {
  std::vector<std::vector<int>> stages(1);
  for (const int module : all_modules(m)) {
    if (std::find(at.begin(), at.end(), module) != at.end()) stages.emplace_back();
    stages.back().push_back(module);
  }
  return stages;
}

Input input_of(const Modality& m) {
  Input input;
  if (!catalog::is_llm(m)) {
    std::vector<std::int64_t> shape = {3};
    shape.insert(shape.end(), m.spec.item_shape.begin(), m.spec.item_shape.end());
    input.media = noise(shape, 5);
    return input;
  }
  at::Tensor ids = (at::arange(2 * 11, at::kLong) * 31).remainder(m.spec.vocab_size).view({2, 11});
  input.labels = at::where(ids.remainder(3) == 0, at::full_like(ids, -100), ids);
  ids.narrow(1, 2, 2).fill_(-1);
  ids[1][7] = -2;
  input.ids = ids;
  input.features = {noise({4, m.spec.hidden_size}, 21), noise({1, m.spec.hidden_size}, 22)};
  return input;
}

Outcome run(const Modality& m, const std::vector<std::vector<int>>& stages, int tp, const Input& input) {
  std::vector<RankResult> ranks(static_cast<std::size_t>(tp));
  comm::run_threads(tp, {}, [&](const comm::CommunicatorPtr& c) {
    ranks[static_cast<std::size_t>(c->rank())] = run_rank(m, stages, c->world(), input);
  });
  Outcome outcome{ranks[0].output, {}, ranks[0].feature_gradients};
  for (const RankResult& rank : ranks) {
    CHECK(rank.output.equal(outcome.output));
    for (const models::Parameter& p : rank.parameters) add_gradient(outcome.gradients, p, &rank == &ranks[0]);
  }
  return outcome;
}

}  // namespace fixture
