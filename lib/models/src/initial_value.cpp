#include "initial_value.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "cornstarch/base/random.h"

namespace cornstarch::models {
namespace {

// A shard as runs of consecutive elements of the global tensor.
struct Runs {
  std::int64_t count = 1;   // how many
  std::int64_t length = 0;  // elements of each
  std::int64_t first = 0;   // global index of the first run's first element
  std::int64_t stride = 0;  // from one run's first element to the next one's
};

Runs runs_of(const catalog::Shape& shape, int split_dim, Range part) {
  Runs runs;
  std::int64_t inner = 1;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    const bool outer = static_cast<int>(d) < split_dim;
    (outer ? runs.count : inner) *= shape[d];
  }
  runs.length = runs.stride = inner;
  if (split_dim >= 0) {
    const std::int64_t size = shape[static_cast<std::size_t>(split_dim)];
    const std::int64_t unit = size == 0 ? 0 : inner / size;
    runs.length = part.size() * unit;
    runs.first = part.begin * unit;
  }
  return runs;
}

template <typename T>
void draw_normal(const Philox& philox, const Runs& runs, double std, T* out) {
  constexpr std::int64_t grain = 4096;
  at::parallel_for(0, runs.count * runs.length, grain, [&, out](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t index = runs.first + i / runs.length * runs.stride + i % runs.length;
      out[i] = static_cast<T>(std * philox.normal(static_cast<std::uint64_t>(index)));
    }
  });
}

// transformers.models.whisper.modeling_whisper.sinusoids, in fp32 as there.
at::Tensor sinusoids(std::int64_t length, std::int64_t channels) {
  const std::int64_t half = channels / 2;
  const double step = std::log(10000.0) / static_cast<double>(half - 1);
  const at::Tensor frequencies = (at::arange(half, at::kFloat) * -step).exp();
  const at::Tensor angles = at::outer(at::arange(length, at::kFloat), frequencies);
  return at::cat({angles.sin(), angles.cos()}, 1);
}

at::Tensor normal(const catalog::ParamSpec& spec, const Philox& philox, const Runs& runs,
                  const std::vector<std::int64_t>& shape, at::ScalarType dtype) {
  const at::ScalarType drawn = dtype == at::kBFloat16 ? at::kFloat : dtype;
  const at::Tensor value = at::empty(shape, drawn);
  AT_DISPATCH_FLOATING_TYPES(drawn, "draw_normal", [&] {
    draw_normal(philox, runs, spec.init_std, value.mutable_data_ptr<scalar_t>());
  });
  return value.to(dtype);
}

}  // namespace

at::Tensor initial_value(const catalog::ParamSpec& spec, const std::string& full_name, std::uint64_t seed,
                         int split_dim, Range part, at::ScalarType dtype) {
  std::vector<std::int64_t> shape = spec.shape;
  if (split_dim >= 0) shape[static_cast<std::size_t>(split_dim)] = part.size();
  switch (spec.init) {
    case catalog::Init::zeros:
      return at::zeros(shape, dtype);
    case catalog::Init::ones:
      return at::ones(shape, dtype);
    case catalog::Init::normal:
      return normal(spec, Philox(seed, full_name), runs_of(spec.shape, split_dim, part), shape, dtype);
    case catalog::Init::sinusoid: {
      const at::Tensor all = sinusoids(spec.shape.at(0), spec.shape.at(1)).to(dtype);
      return split_dim < 0 ? all : all.narrow(split_dim, part.begin, part.size()).contiguous();
    }
  }
  return {};
}

}  // namespace cornstarch::models
