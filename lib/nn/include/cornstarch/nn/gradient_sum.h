#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>

namespace cornstarch::nn {

/// Where the gradients of a parameter add up, of its shape and of its type or a wider one. While it is
/// closed, gradients are autograd's to keep; while it is open, all come here: those of weights by the product
/// itself, past autograd.
class GradientSum {
 public:
  /// Gradients go to `where` from now on. What comes first overwrites what is there, unless `adds`.
  void open(const at::Tensor& where, bool adds = false);
  bool is_open() const { return sum_.defined(); }
  /// Zero where nothing came.
  void complete();
  void close();

  void add(const at::Tensor& gradient);
  /// gradient x factor, a scalar.
  void add_scaled(const at::Tensor& gradient, const at::Tensor& factor);
  /// a x b, matrices; summed up without rounding to their type where a kernel can do so (linear.cpp).
  void add_product(const at::Tensor& a, const at::Tensor& b);
  /// What `product` writes into the sum, a matrix of so many rows, or adds to it.
  void add_by(std::int64_t rows, const std::function<void(const at::Tensor& into, bool adds)>& product);

 private:
  /// Whether nothing had come before; now something has.
  bool first();

  at::Tensor sum_;
  bool empty_ = false;
};

using GradientSumPtr = std::shared_ptr<GradientSum>;

}  // namespace cornstarch::nn
