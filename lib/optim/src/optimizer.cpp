#include "cornstarch/optim/optimizer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace cornstarch::optim {
namespace {

struct State {
  models::Parameter* parameter;
  at::Tensor first;   ///< first moment, or momentum
  at::Tensor second;  ///< second moment (AdamW)
  at::Tensor steps;   ///< updates so far (AdamW)
};

/// The lists that ATen's fused kernels take.
struct Lists {
  std::vector<at::Tensor> values, gradients, first, second, steps;

  void add(const State& s) {
    values.push_back(s.parameter->value);
    gradients.push_back(s.parameter->value.grad());
    first.push_back(s.first);
    second.push_back(s.second);
    steps.push_back(s.steps);
  }
};

}  // namespace

struct Optimizer::Impl {
  config::Optimizer config;
  std::vector<State> states;

  void update(Lists& lists, double lr, double weight_decay) const {
    if (lists.values.empty()) return;
    if (config.type == config::OptimizerType::adamw) {
      at::_fused_adamw_(lists.values, lists.gradients, lists.first, lists.second, {}, lists.steps, lr,
                        config.betas[0], config.betas[1], weight_decay, config.eps, /*amsgrad=*/false,
                        /*maximize=*/false);
    } else {
      // The momentum starts at zero, which makes the first step what PyTorch's is.
      at::_fused_sgd_(lists.values, lists.gradients, lists.first, weight_decay, config.momentum, lr,
                      /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
    }
  }
};

double squared_norm(const std::vector<models::Parameter*>& parameters) {
  double sum = 0;
  for (const models::Parameter* p : parameters) {
    if (!p->trains || !p->counts) continue;
    const double norm = at::linalg_vector_norm(p->value.grad(), 2, {}, false, at::kDouble).item<double>();
    sum += norm * norm;
  }
  return sum;
}

Optimizer::Optimizer(const config::Optimizer& config, const std::vector<models::Parameter*>& parameters)
    : impl_(std::make_unique<Impl>()) {
  impl_->config = config;
  const bool adamw = config.type == config::OptimizerType::adamw;
  for (models::Parameter* p : parameters) {
    if (!p->trains) continue;
    const at::Tensor value = p->value.detach();
    State state{p, {}, {}, {}};
    if (adamw || config.momentum != 0) state.first = at::zeros_like(value);
    if (adamw) state.second = at::zeros_like(value);
    if (adamw) state.steps = at::zeros({}, at::kFloat);
    impl_->states.push_back(std::move(state));
  }
}

Optimizer::~Optimizer() = default;

void Optimizer::step(double lr, const std::set<std::string>& untouched) {
  const at::NoGradGuard no_grad;
  Lists decayed, plain;
  for (const State& s : impl_->states) {
    if (untouched.count(s.parameter->modality) > 0) continue;
    if (s.steps.defined()) s.steps.add_(1);
    (s.parameter->spec->shape.size() >= 2 ? decayed : plain).add(s);
  }
  if (impl_->config.type == config::OptimizerType::sgd && impl_->config.momentum == 0) {
    decayed.first.clear();
    plain.first.clear();
  }
  impl_->update(decayed, lr, impl_->config.weight_decay);
  impl_->update(plain, lr, 0.0);
}

}  // namespace cornstarch::optim
