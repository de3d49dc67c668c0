#include "cornstarch/optim/optimizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <map>

#include "cornstarch/base/result.h"
#include "cornstarch/optim/fused.h"

namespace cornstarch::optim {
namespace {

/// Segments that are updated alike: for our kernel on a GPU, and as the lists that ATen's fused kernels take.
struct Alike {
  std::vector<AdamwSegment> segments;

  std::vector<at::Tensor> values, gradients;
  std::vector<std::pair<at::Tensor, at::Tensor>> rounded;  ///< narrow values and their masters
  std::vector<at::Tensor> first;                           ///< first moments, or momentum
  std::vector<at::Tensor> second;                          ///< second moments (AdamW)
  std::vector<at::Tensor> steps;  ///< updates so far (AdamW): one tensor, once for each segment
};

/// What segments have in common that are updated alike.
struct Key {
  std::string modality;
  double lr_factor = 1;
  double weight_decay = 0;
  auto operator<=>(const Key&) const = default;
};

Key key_of(const pipeline::Segment& segment) {
  const models::Parameter& p = *segment.parameter;
  return {p.modality, p.spec->lr_factor, p.spec->weight_decay};
}

}  // namespace

struct Optimizer::Impl {
  config::Optimizer config;
  std::map<Key, Alike> all;
  std::vector<Moments> moments;  // by segment

  bool adamw() const { return config.type == config::OptimizerType::adamw; }

  void keep(const pipeline::Segment& segment) {
    const Key key = key_of(segment);
    Alike& alike = all[key];
    const at::Tensor& value = segment.master.defined() ? segment.master : segment.value;
    if (adamw() && alike.steps.empty())
      alike.steps.push_back(at::zeros({}, value.options().dtype(at::kFloat)));
    // The kernel's state is never narrower than fp32.
    if (adamw() && value.is_cuda() && value.element_size() >= 4) {
      alike.segments.push_back({segment.master.defined() ? segment.value : at::Tensor(), value,
                                segment.gradient, at::zeros_like(value), at::zeros_like(value),
                                key.weight_decay});
      moments.push_back({alike.segments.back().first, alike.segments.back().second});
      return;
    }
    if (segment.master.defined()) alike.rounded.emplace_back(segment.value, segment.master);
    alike.values.push_back(value);
    alike.gradients.push_back(segment.gradient);
    Moments& own = moments.emplace_back();
    if (adamw() || config.momentum != 0) alike.first.push_back(own.first = at::zeros_like(value));
    if (!adamw()) return;
    alike.second.push_back(own.second = at::zeros_like(value));
    alike.steps.resize(alike.values.size(), alike.steps.front());
  }

  /// Of these LibTorch's kernel leaves all but a few elements as they are, and writes momentum that means
  /// nothing (pytorch#191763).
  static bool in_narrow_types_on_a_cpu(const Alike& alike) {
    return !alike.values.empty() && alike.values.front().is_cpu() && alike.values.front().element_size() < 4;
  }

  void sgd_in_fp32(Alike& alike, double lr, double weight_decay) const {
    for (std::size_t i = 0; i < alike.values.size(); ++i) {
      const at::Tensor value = alike.values[i].to(at::kFloat);
      at::Tensor velocity = alike.gradients[i].to(at::kFloat).add_(value, weight_decay);
      if (config.momentum != 0) {
        velocity.add_(alike.first[i], config.momentum);
        alike.first[i].copy_(velocity);
      }
      alike.values[i].copy_(value.sub(velocity, lr));
    }
  }

  /// `skip`: 1 where nothing is to change (ATen's kernels take it as "an infinity was found"), else 0.
  void update(Alike& alike, double lr, double weight_decay, const at::Tensor& skip,
              const at::Tensor& scale) const {
    if (adamw()) alike.steps.front().add_(1 - skip);
    if (!alike.segments.empty()) {
      fused_adamw(alike.segments,
                  {lr, config.betas[0], config.betas[1], config.eps, alike.steps.front(), scale, skip});
    } else if (adamw()) {
      at::_fused_adamw_(alike.values, alike.gradients, alike.first, alike.second, {}, alike.steps, lr,
                        config.betas[0], config.betas[1], weight_decay, config.eps, /*amsgrad=*/false,
                        /*maximize=*/false, /*grad_scale=*/{}, skip);
    } else if (in_narrow_types_on_a_cpu(alike)) {
      if (skip.item<float>() == 0) sgd_in_fp32(alike, lr, weight_decay);
    } else {
      // The momentum starts at zero, which makes the first step what PyTorch's is.
      at::_fused_sgd_(alike.values, alike.gradients, alike.first, weight_decay, config.momentum, lr,
                      /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false,
                      /*grad_scale=*/{}, skip);
    }
    for (const auto& [value, master] : alike.rounded) value.copy_(master);
  }
};

at::Tensor squared_norm(const std::vector<pipeline::Segment>& segments) {
  at::Tensor sum;
  std::vector<at::Tensor> on_gpu;
  for (const pipeline::Segment& s : segments) {
    if (!s.counts) continue;
    if (s.gradient.is_cuda()) {
      on_gpu.push_back(s.gradient);
      continue;
    }
    const at::Tensor square = at::linalg_vector_norm(s.gradient, 2, {}, false, at::kDouble).square_();
    sum = sum.defined() ? sum.add_(square) : square;
  }
  return on_gpu.empty() ? sum : fused_squared_norm(on_gpu);
}

Optimizer::Optimizer(const config::Optimizer& config, const std::vector<pipeline::Segment>& segments)
    : impl_(std::make_unique<Impl>()) {
  impl_->config = config;
  for (const pipeline::Segment& segment : segments) impl_->keep(segment);
}

Optimizer::~Optimizer() = default;

const std::vector<Optimizer::Moments>& Optimizer::moments() const { return impl_->moments; }

void Optimizer::resume(const std::map<std::string, std::int64_t>& updates) {
  for (auto& [key, alike] : impl_->all) {
    const auto found = updates.find(key.modality);
    if (!alike.steps.empty()) alike.steps.front().fill_(found == updates.end() ? 0 : found->second);
  }
}

bool Optimizer::scales() const {
  return std::ranges::all_of(impl_->all, [](const auto& alike) { return alike.second.values.empty(); });
}

void Optimizer::step(double lr, const std::set<std::string>& untouched, const at::Tensor& sound,
                     const at::Tensor& scale) {
  const at::NoGradGuard no_grad;
  if (scale.defined() && !scales())
    throw Failure(ExitCode::internal, "this optimizer cannot scale gradients");
  const at::Tensor skip = sound.logical_not().to(at::kFloat);
  const at::Tensor factor = scale.defined() ? scale.to(at::kFloat) : scale;
  for (auto& [key, alike] : impl_->all) {
    if (untouched.count(key.modality) > 0) continue;
    impl_->update(alike, lr * key.lr_factor, key.weight_decay, skip, factor);
  }
}

}  // namespace cornstarch::optim
