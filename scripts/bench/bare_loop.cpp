// bench-bare-loop CONFIG STEPS: a run's model, optimizer and clipping on one rank, with nothing around them:
// no data is read (one made-up microbatch serves all steps), no plan is executed, nothing is reduced,
// reported or written. What a step of the trainer takes beyond a step of this is the trainer's own work.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/config/load.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/models/weights.h"
#include "cornstarch/optim/optimizer.h"
#include "cornstarch/plan/plan.h"

namespace {

using namespace cornstarch;

constexpr std::int64_t kUnlearnt = 60;  // of a row's tokens beside the features

/// One part of the model, whole.
struct Model {
  Model(const config::RunConfig& config, const catalog::Modalities& modalities) {
    const auto plan = value_or_throw(plan::make_plan(config, modalities, 1, 1));
    const auto alone = comm::alone();
    for (const auto& planned : plan.stages) {
      const auto& modality = modalities[static_cast<std::size_t>(planned.modality)];
      stages.emplace_back(modality, planned.modules, alone->world(),
                          models::StageOptions{at::kFloat, config.seed});
      if (modality.pretrained)
        models::load_pretrained(*modality.pretrained, modality, stages.back().parameters());
      for (auto& parameter : stages.back().parameters()) parameters.push_back(&parameter);
    }
  }

  /// The sum of the losses.
  at::Tensor forward(const std::vector<at::Tensor>& media, const models::Text& text) {
    std::vector<at::Tensor> features;
    for (std::size_t e = 0; e < media.size(); ++e) features.push_back(stages[e].forward(media[e]));
    models::Stage& llm = stages.back();
    return llm.loss(llm.transform(llm.embed(text, features)), text);
  }

  std::vector<models::Stage> stages;
  std::vector<models::Parameter*> parameters;
};

/// A microbatch of the config's shape: one item of each encoder in every row, then text, its end learnt.
struct Batch {
  Batch(const config::RunConfig& config, const catalog::Modalities& modalities) {
    const std::int64_t rows = config.batch.microbatch_size, length = config.batch.sequence_length;
    const catalog::ModelSpec& llm = modalities.back().spec;
    at::Tensor ids = at::randint(2, llm.vocab_size, {rows, length}, at::kLong);
    const at::Tensor labels = ids.clone();
    std::int64_t from = 0;
    for (std::size_t e = 0; e + 1 < modalities.size(); ++e) {
      auto shape = modalities[e].spec.item_shape;
      shape.insert(shape.begin(), rows);
      media.push_back(at::randn(shape, at::kFloat));
      const auto features = catalog::features_of(modalities[e], *catalog::fixed_extents(modalities[e].spec));
      ids.narrow(1, from, features).fill_(-(1 + static_cast<std::int64_t>(e)));
      from += features;
    }
    labels.narrow(1, 0, from + kUnlearnt).fill_(-100);
    text = models::make_text(ids, labels, modalities.size() - 1, llm.vocab_size);
    targets = static_cast<double>(text.num_targets());
  }

  std::vector<at::Tensor> media;
  models::Text text;
  double targets = 0;
};

/// Gradients stay where they are from step to step, as a trainer keeps them.
std::vector<pipeline::Segment> segments_of(const Model& model) {
  std::vector<pipeline::Segment> segments;
  for (models::Parameter* p : model.parameters) {
    if (!p->trains) continue;
    p->value.mutable_grad() = at::zeros_like(p->value);
    segments.push_back({p, 0, p->value.detach().view(-1), {}, p->value.grad().view(-1), p->counts});
  }
  return segments;
}

double step(Model& model, const std::vector<pipeline::Segment>& segments, optim::Optimizer& optimizer,
            const Batch& batch, const config::Optimizer& options) {
  for (const pipeline::Segment& s : segments) s.gradient.zero_();
  const at::Tensor loss = model.forward(batch.media, batch.text);
  loss.backward();
  const double norm = std::sqrt(optim::squared_norm(segments).item<double>()) / batch.targets;
  const double scale = std::min(1.0, options.grad_clip / (norm + 1e-6)) / batch.targets;
  for (const pipeline::Segment& s : segments) s.gradient.mul_(scale);
  optimizer.step(options.lr, {}, at::ones({}, at::kBool));
  return loss.item<double>() / batch.targets;
}

int run(const std::filesystem::path& file, int steps) {
  Diagnostics diagnostics;
  const auto loaded = config::load(file, {"layout=single"}, diagnostics);
  const auto modalities = loaded ? catalog::resolve(*loaded, diagnostics) : std::nullopt;
  if (!modalities) throw Failure(ExitCode::usage, render_text(diagnostics));
  Model model(loaded->config, *modalities);
  const std::vector<pipeline::Segment> segments = segments_of(model);
  optim::Optimizer optimizer(loaded->config.optimizer, segments);
  const Batch batch(loaded->config, *modalities);
  for (int s = 1; s <= steps; ++s) {
    std::printf("step %d/%d  loss %.4f\n", s, steps,
                step(model, segments, optimizer, batch, loaded->config.optimizer));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: bench-bare-loop CONFIG STEPS\n", stderr);
    return 2;
  }
  try {
    return run(argv[1], std::atoi(argv[2]));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
