#include "differentiable.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <utility>

#include "cornstarch/base/result.h"

namespace cornstarch::nn {
namespace {

// A node of autograd's graph whose work is a closure. torch::autograd::Function would do the same, but can
// keep nothing that is not an IValue (as a group of ranks), and costs twice the time to compile.
class ClosureNode : public torch::autograd::Node {
 public:
  ClosureNode(const char* name, torch::autograd::edge_list edges, BackwardOfMany backward)
      : Node(std::move(edges)), name_(name), backward_(std::move(backward)) {}

  std::string name() const override { return name_; }
  void release_variables() override { backward_ = nullptr; }

 private:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& grads) override {
    if (!backward_) throw Failure(ExitCode::internal, name_ + ": backward ran a second time");
    const auto defined = [](const at::Tensor& grad) { return grad.defined(); };
    if (std::none_of(grads.begin(), grads.end(), defined))
      return torch::autograd::variable_list(num_outputs());
    std::vector<bool> needed(num_outputs());
    for (std::size_t i = 0; i < needed.size(); ++i) needed[i] = task_should_compute_output(i);
    return backward_(grads, needed);
  }

  std::string name_;
  BackwardOfMany backward_;
};

}  // namespace

bool records(at::TensorList inputs) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& input : inputs) {
    if (input.defined() && input.requires_grad()) return true;
  }
  return false;
}

void differentiable(const char* name, at::TensorList outputs, at::TensorList inputs,
                    BackwardOfMany backward) {
  torch::autograd::edge_list edges;
  for (const at::Tensor& input : inputs)
    edges.push_back(input.defined() ? torch::autograd::impl::gradient_edge(input) : torch::autograd::Edge());
  // deleteNode takes long chains apart without recursion.
  const std::shared_ptr<ClosureNode> node(new ClosureNode(name, std::move(edges), std::move(backward)),
                                          torch::autograd::deleteNode);
  for (at::Tensor output : outputs) torch::autograd::create_gradient_edge(output, node);
}

at::Tensor differentiable(const char* name, at::Tensor output, at::TensorList inputs, Backward backward) {
  differentiable(name, {output}, inputs,
                 [backward = std::move(backward)](const std::vector<at::Tensor>& grads,
                                                  const std::vector<bool>& needed) {
                   return backward(grads[0], needed);
                 });
  return output;
}

}  // namespace cornstarch::nn
