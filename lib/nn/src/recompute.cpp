#include "cornstarch/nn/recompute.h"

#include <ATen/core/grad_mode.h>

#include "differentiable.h"
#include "operand.h"

namespace cornstarch::nn {
namespace {

/// f once more, with a graph that begins at its inputs.
struct Again {
  std::vector<at::Tensor> inputs;
  at::Tensor output;

  Again(const Recomputed& f, const std::vector<at::Tensor>& kept, const std::vector<bool>& needed) {
    const at::AutoGradMode recording(true);
    for (std::size_t i = 0; i < kept.size(); ++i)
      inputs.push_back(kept[i].detach().set_requires_grad(needed[i]));
    output = f(inputs);
  }

  std::vector<at::Tensor> backward(const at::Tensor& grad) const {
    output.backward(grad);
    std::vector<at::Tensor> grads;
    for (const at::Tensor& input : inputs) grads.push_back(input.grad());
    return grads;
  }
};

std::vector<at::Tensor> detached(at::TensorList tensors) {
  std::vector<at::Tensor> out;
  for (const at::Tensor& t : tensors) out.push_back(t.detach());
  return out;
}

}  // namespace

at::Tensor checkpoint(const Recomputed& f, const at::Tensor& x) {
  // Its graph tells whether there is anything to record, and is dropped on return.
  at::Tensor y = f({x});
  if (!y.requires_grad()) return y;
  return differentiable("Checkpoint", y.detach(), {x},
                        [f, kept = detached({x})](const at::Tensor& grad, const std::vector<bool>& needed) {
                          return Again(f, kept, needed).backward(grad);
                        });
}

namespace {

/// The layers without their adapters.
std::vector<at::Tensor> recomputed_products(const Recomputed& f, at::TensorList inputs,
                                            const std::vector<Linear>& layers, const RowFacts& facts) {
  const at::Tensor h = f(inputs);
  std::vector<at::Tensor> parents = inputs.vec(), weights;
  bool recorded = h.requires_grad();
  for (const Linear& layer : layers) {
    parents.insert(parents.end(), {layer.weight, layer.bias});
    recorded = recorded || records({layer.weight, layer.bias});
    weights.push_back(layer.weight);
  }
  const std::vector<at::Tensor> outputs = products(input_of(h, layers, {true, false}, facts.counted),
                                                   h.sizes(), layers, h.requires_grad(), facts.names);
  if (!recorded) return outputs;
  differentiable("RecomputedLinear", outputs, parents,
                 [=, kept = detached(inputs), trains = records(weights)](const std::vector<at::Tensor>& grads,
                                                                         const std::vector<bool>& needed) {
                   const Again again(f, kept, needed);
                   const bool flows = again.output.requires_grad();
                   const at::NoGradGuard no_grad;
                   const Operand x = input_of(again.output, layers, {false, trains}, facts.counted);
                   const LinearGrads of =
                       linear_grads(x, flows, layers, grads, needed, kept.size(), facts.names);
                   std::vector<at::Tensor> out(kept.size());
                   if (flows) out = again.backward(of.x.view(again.output.sizes()));
                   out.insert(out.end(), of.of_layers.begin(), of.of_layers.end());
                   return out;
                 });
  return outputs;
}

}  // namespace

std::vector<at::Tensor> recomputed_linear(const Recomputed& f, at::TensorList inputs,
                                          const std::vector<Linear>& layers, const RowFacts& facts) {
  return adapted(recomputed_products(f, inputs, with_adapters(layers), facts), layers);
}

}  // namespace cornstarch::nn
