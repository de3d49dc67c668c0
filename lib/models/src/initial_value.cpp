#include "initial_value.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/outer.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cornstarch/base/normal_draw.h"
#include "cornstarch/base/random.h"
#include "draw.h"

namespace cornstarch::models {
namespace {

Runs runs_of(const catalog::Shape& shape, int split_dim, Range part) {
  std::int64_t inner = 1;
  for (std::size_t d = split_dim < 0 ? 0 : static_cast<std::size_t>(split_dim); d < shape.size(); ++d)
    inner *= shape[d];
  if (split_dim < 0 || inner == 0) return {inner, 0, inner};
  const std::int64_t unit = inner / shape[static_cast<std::size_t>(split_dim)];
  return {part.size() * unit, part.begin * unit, inner};
}

template <typename T>
void draw_on_cpu(std::uint64_t key, const Runs& runs, std::int64_t first, double std, Range range, T* out) {
  std::uint64_t block = ~std::uint64_t{0};
  std::array<double, 2> pair{};
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    const std::int64_t at = first + i;
    const auto index =
        static_cast<std::uint64_t>(runs.first + at / runs.length * runs.stride + at % runs.length);
    if (index / 2 != block) pair = normal_pair(philox_block(key, block = index / 2));
    out[i] = static_cast<T>(std * pair[index % 2]);
  }
}

// transformers.models.whisper.modeling_whisper.sinusoids, in fp32 as there.
at::Tensor sinusoids(std::int64_t length, std::int64_t channels) {
  const std::int64_t half = channels / 2;
  const double step = std::log(10000.0) / static_cast<double>(half - 1);
  const at::Tensor frequencies = (at::arange(half, at::kFloat) * -step).exp();
  const at::Tensor angles = at::outer(at::arange(length, at::kFloat), frequencies);
  return at::cat({angles.sin(), angles.cos()}, 1);
}

/// Into out [n], of any type: what is no wider than fp32 is drawn in fp32, some at a time.
void write_normal(std::uint64_t key, const Runs& runs, std::int64_t begin, double std,
                  const at::Tensor& out) {
  if (out.element_size() >= 4) return draw_normal(key, runs, begin, std, out);
  constexpr std::int64_t step = 1 << 24;
  for (std::int64_t done = 0; done < out.numel(); done += step) {
    const at::Tensor some = out.narrow(0, done, std::min(step, out.numel() - done));
    const at::Tensor drawn = at::empty(some.sizes(), some.options().dtype(at::kFloat));
    draw_normal(key, runs, begin + done, std, drawn);
    some.copy_(drawn);
  }
}

}  // namespace

void draw_normal(std::uint64_t key, const Runs& runs, std::int64_t begin, double std, const at::Tensor& out) {
  if (out.is_cuda()) return draw_normal_on_gpu(key, runs, begin, std, out);
  constexpr std::int64_t grain = 4096;
  AT_DISPATCH_FLOATING_TYPES(out.scalar_type(), "draw_normal", [&] {
    at::parallel_for(0, out.numel(), grain,
                     [&, to = out.mutable_data_ptr<scalar_t>()](auto first, auto last) {
                       draw_on_cpu(key, runs, begin, std, {first, last}, to);
                     });
  });
}

void write_initial_value(const InitialValue& of, Range elements, const at::Tensor& out) {
  const catalog::ParamSpec& spec = of.spec;
  switch (spec.init) {
    case catalog::Init::zeros:
      out.zero_();
      return;
    case catalog::Init::constant:
      out.fill_(spec.init_std);
      return;
    case catalog::Init::normal:
      write_normal(Philox(of.seed, of.full_name).key(), runs_of(spec.shape, of.split_dim, of.part),
                   elements.begin, spec.init_std, out);
      return;
    case catalog::Init::sinusoid: {
      const at::Tensor all = sinusoids(spec.shape.at(0), spec.shape.at(1));
      const at::Tensor shard =
          of.split_dim < 0 ? all : all.narrow(of.split_dim, of.part.begin, of.part.size());
      out.copy_(shard.reshape(-1).narrow(0, elements.begin, elements.size()));
      return;
    }
  }
}

}  // namespace cornstarch::models
