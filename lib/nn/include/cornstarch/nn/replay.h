#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace cornstarch::nn {

/// A function of one tensor whose kernels, forward and backward, are recorded as CUDA graphs once for each
/// kind of input and then launched as one: where launching them one by one takes longer than computing them.
/// What it computes, and what it adds to the gradients of parameters inside, is the same. Elsewhere than on a
/// GPU it is the function itself.
///
/// The function launches the same kernels for all inputs of the same size, type and need of a gradient, waits
/// for nothing, and talks to no other rank; parameters, their gradients and what else it reads stay where
/// they are; hooks inside run when it is recorded only. The current stream is not the default one, which
/// cannot be recorded, and is the same in every call.
///
/// A recording keeps the memory of its activations. There are as many of a kind as forwards wait for their
/// backward, and a few kinds at most: what comes later is launched one by one.
class Replayed {
 public:
  using Function = std::function<at::Tensor(const at::Tensor&)>;

  explicit Replayed(Function function);
  ~Replayed();

  /// The result is good until its backward has run, or for ever if there is none.
  at::Tensor operator()(const at::Tensor& x);

  /// Graphs so far, forward and backward counted as one.
  int recorded() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace cornstarch::nn
