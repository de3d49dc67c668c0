#include "cornstarch/nn/dropout.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>

#include "cornstarch/base/normal_draw.h"
#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cuda_layers.h"
#include "kernels.h"

namespace cornstarch::nn {
namespace {

/// Elements whose word is below are dropped.
std::uint32_t threshold_of(double p) { return static_cast<std::uint32_t>(std::min(p * 0x1p32, 0x1p32 - 1)); }

template <typename T>
void drop_row(const T* x, T* out, std::int64_t size, const Dropout& dropout, std::uint32_t step,
              std::int64_t name) {
  using C = kernels::Wide<T>;
  const std::uint32_t threshold = threshold_of(dropout.p);
  const C scale = static_cast<C>(1 / (1 - dropout.p));
  for (std::int64_t i = 0; i < size;) {
    const std::int64_t feature = dropout.first + i;
    const auto words = element_words(dropout.key, step, static_cast<std::uint64_t>(name),
                                     static_cast<std::uint32_t>(feature / 4));
    for (auto word = static_cast<std::size_t>(feature % 4); word < 4 && i < size; ++word, ++i)
      out[i] = words[word] < threshold ? T(0) : static_cast<T>(static_cast<C>(x[i]) * scale);
  }
}

}  // namespace

void drop(const at::Tensor& x, const Dropout& dropout, const RowNames& names, const at::Tensor& out) {
  const std::int64_t rows = x.size(0), size = x.size(1);
  if (names.of.numel() != rows)
    throw Failure(ExitCode::internal, cat(names.of.numel(), " names for ", rows, " rows"));
  if (x.numel() == 0) return;
  if (x.is_cuda()) return cuda::drop(x, dropout, threshold_of(dropout.p), names, out);
  const std::int64_t* name = names.of.const_data_ptr<std::int64_t>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "drop", [&] {
    const auto* from = x.const_data_ptr<scalar_t>();
    auto* to = out.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, rows, 1 + 4096 / size, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r)
        drop_row(from + r * size, to + r * size, size, dropout, names.step, name[r]);
    });
  });
}

at::Tensor drop(const at::Tensor& x, const Dropout& dropout, const RowNames& names) {
  const at::NoGradGuard no_grad;
  const at::Tensor from = x.detach().contiguous();
  at::Tensor out = at::empty_like(from);
  drop(from, dropout, names, out);
  return out;
}

}  // namespace cornstarch::nn
