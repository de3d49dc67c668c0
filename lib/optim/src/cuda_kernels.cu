#include "cornstarch/nn/device.cuh"
#include "cuda_kernels.h"

// AdamW reads and writes master and moments (24 bytes an element), reads the gradient (2 or 4) and writes the
// value (2): a thread takes four neighbours at a time.
namespace cornstarch::optim::cuda {
namespace {

using nn::cuda::bf16;
using nn::cuda::block_sum;
using nn::cuda::Compute;
using nn::cuda::load;
using nn::cuda::store;

constexpr int threads = 256;
constexpr int vec = 4;

// Blocks are dealt to segments in order.
__device__ const Segment& segment_of_block(const Table& table) {
  int low = 0, high = table.count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (table.segments[middle].first_block <= blockIdx.x) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return table.segments[low];
}

// Calls visit<width>(at) for this block's share of the segment, four elements at a time where addresses allow
// it.
template <typename Visit>
__device__ void for_share(const Segment& s, bool wide, const Visit& visit) {
  const std::int64_t begin = (blockIdx.x - s.first_block) * block_elements;
  const std::int64_t end = begin + block_elements < s.size ? begin + block_elements : s.size;
  const std::int64_t packs = wide ? (end - begin) / vec : 0;
  for (std::int64_t i = threadIdx.x; i < packs; i += threads) visit.template operator()<vec>(begin + i * vec);
  for (std::int64_t i = begin + packs * vec + threadIdx.x; i < end; i += threads)
    visit.template operator()<1>(i);
}

__device__ bool aligned(const void* address, int bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % static_cast<unsigned>(bytes) == 0;
}

template <typename T>
__device__ bool takes_packs(const void* address) {
  const int bytes = vec * static_cast<int>(sizeof(T));
  return aligned(address, bytes < 16 ? bytes : 16);
}

template <typename V, typename M, typename G>
__global__ void __launch_bounds__(threads) adamw_step(const __grid_constant__ Table table, const Adamw a) {
  if (a.skip != nullptr && *a.skip != 0) return;
  const Segment& s = segment_of_block(table);
  __shared__ double corrections[2];  // 1 - beta^steps
  if (threadIdx.x < 2)
    corrections[threadIdx.x] = -expm1(*a.steps * (threadIdx.x == 0 ? a.log_beta1 : a.log_beta2));
  __syncthreads();
  const M scale = a.scale != nullptr ? static_cast<M>(*a.scale) : M(1);
  const M beta1 = static_cast<M>(a.beta1), beta2 = static_cast<M>(a.beta2), eps = static_cast<M>(a.eps);
  const M keep = static_cast<M>(1 - a.lr * s.weight_decay), rate = static_cast<M>(a.lr / corrections[0]);
  const M rest1 = static_cast<M>(1 - a.beta1), rest2 = static_cast<M>(1 - a.beta2);
  const M root2 = static_cast<M>(sqrt(corrections[1]));
  const bool wide = takes_packs<V>(s.value) && takes_packs<M>(s.master) && takes_packs<G>(s.gradient) &&
                    takes_packs<M>(s.first) && takes_packs<M>(s.second);
  for_share(s, wide, [&]<int n>(std::int64_t at) {
    M master[n], gradient[n], first[n], second[n];
    load<M>(s.master, at, master);
    load<G>(s.gradient, at, gradient);
    load<M>(s.first, at, first);
    load<M>(s.second, at, second);
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const M g = gradient[i] * scale;
      first[i] = beta1 * first[i] + rest1 * g;
      second[i] = beta2 * second[i] + rest2 * g * g;
      master[i] = keep * master[i] - rate * first[i] / (sqrt(second[i]) / root2 + eps);
    }
    store<M>(s.master, at, master);
    store<M>(s.first, at, first);
    store<M>(s.second, at, second);
    if (s.value != nullptr) store<V>(s.value, at, master);
  });
}

template <typename G>
__global__ void __launch_bounds__(threads)
    squared_norms_of(const __grid_constant__ Table table, double* partials) {
  const Segment& s = segment_of_block(table);
  double sums[1] = {0};
  for_share(s, takes_packs<G>(s.gradient), [&]<int n>(std::int64_t at) {
    double gradient[n];
    load<G>(s.gradient, at, gradient);
#pragma unroll
    for (int i = 0; i < n; ++i) sums[0] += gradient[i] * gradient[i];
  });
  block_sum(sums);
  if (threadIdx.x == 0) partials[blockIdx.x] = sums[0];
}

__global__ void sum_all(const double* partials, std::int64_t count, double* out) {
  double sums[1] = {0};
  for (std::int64_t i = threadIdx.x; i < count; i += blockDim.x) sums[0] += partials[i];
  block_sum(sums);
  if (threadIdx.x == 0) *out = sums[0];
}

}  // namespace

void adamw(const Table& table, const Adamw& a, Type value, Type master, Type gradient, Stream stream) {
  const auto blocks = static_cast<unsigned>(table.blocks);
  const bool narrow_value = value == Type::bf16, narrow_gradient = gradient == Type::bf16;
  if (master == Type::f64) {
    adamw_step<double, double, double><<<blocks, threads, 0, stream>>>(table, a);
  } else if (narrow_value && narrow_gradient) {
    adamw_step<bf16, float, bf16><<<blocks, threads, 0, stream>>>(table, a);
  } else if (narrow_value) {
    adamw_step<bf16, float, float><<<blocks, threads, 0, stream>>>(table, a);
  } else if (narrow_gradient) {
    adamw_step<float, float, bf16><<<blocks, threads, 0, stream>>>(table, a);
  } else {
    adamw_step<float, float, float><<<blocks, threads, 0, stream>>>(table, a);
  }
}

void squared_norms(const Table& table, double* partials, Type gradient, Stream stream) {
  const auto blocks = static_cast<unsigned>(table.blocks);
  if (gradient == Type::bf16) squared_norms_of<bf16><<<blocks, threads, 0, stream>>>(table, partials);
  if (gradient == Type::f32) squared_norms_of<float><<<blocks, threads, 0, stream>>>(table, partials);
  if (gradient == Type::f64) squared_norms_of<double><<<blocks, threads, 0, stream>>>(table, partials);
}

void sum(const double* partials, std::int64_t count, double* out, Stream stream) {
  sum_all<<<1, 1024, 0, stream>>>(partials, count, out);
}

}  // namespace cornstarch::optim::cuda
