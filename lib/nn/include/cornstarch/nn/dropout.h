#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

/// Zeros in activations (Srivastava et al. 2014, "Dropout") that do not depend on how these are laid out:
/// whether an element is dropped is a function of the step, of the token that its row is, and of its feature.
namespace cornstarch::nn {

/// In front of a layer.
struct Dropout {
  std::uint64_t key = 0;   ///< the layer's own
  double p = 0;            ///< the share that is dropped, below 1
  std::int64_t first = 0;  ///< of all features, the first that this rank has
};

/// Which tokens of a step the rows of an activation are.
struct RowNames {
  at::Tensor of = {};  ///< [n] int64; undefined: nothing is dropped
  std::uint32_t step = 0;
};

/// The name of a token: the row of the global batch that it is in, and its place there.
constexpr std::int64_t row_name(std::int64_t row, std::int64_t place) { return (row << 32) | place; }

inline bool drops(const Dropout& dropout, const RowNames& names) {
  return dropout.p > 0 && names.of.defined();
}

/// Rows [n, features], some elements zero and the others divided by 1 - p: the same of a gradient. Not
/// recorded. `out` may be x; both are contiguous.
void drop(const at::Tensor& x, const Dropout& dropout, const RowNames& names, const at::Tensor& out);

/// In memory of its own.
at::Tensor drop(const at::Tensor& x, const Dropout& dropout, const RowNames& names);

}  // namespace cornstarch::nn
