#include <algorithm>

#include "cornstarch/nn/device.cuh"
#include "cuda_kernels.h"

// A block takes a row, so that its angles come from memory once for all heads; q and k are read and written
// once.
namespace cornstarch::nn::cuda {
namespace {

template <typename T, int vec>
__global__ void turn(const Rotate a) {
  using C = Compute<T>;
  const std::int64_t row = blockIdx.x;
  const std::int64_t position = row % a.length;
  const int packs = a.half / vec;
  for (int item = threadIdx.x; item < (a.q_heads + a.k_heads) * packs; item += blockDim.x) {
    const int head = item / packs, column = item % packs * vec;
    const bool of_q = head < a.q_heads;
    const int column_in_row = (of_q ? head : head - a.q_heads) * 2 * a.half + column;
    const std::int64_t from = row * (of_q ? a.q_stride : a.k_stride) + column_in_row;
    const std::int64_t to = row * (of_q ? a.q_heads : a.k_heads) * 2 * a.half + column_in_row;
    C x[vec], y[vec], cos[vec], sin[vec], turned_x[vec], turned_y[vec];
    load<T>(of_q ? a.q : a.k, from, x);
    load<T>(of_q ? a.q : a.k, from + a.half, y);
    load<C>(a.cos, position * a.half + column, cos);
    load<C>(a.sin, position * a.half + column, sin);
#pragma unroll
    for (int i = 0; i < vec; ++i) {
      const C s = a.inverse ? -sin[i] : sin[i];
      turned_x[i] = x[i] * cos[i] - y[i] * s;
      turned_y[i] = y[i] * cos[i] + x[i] * s;
    }
    store<T>(of_q ? a.q_out : a.k_out, to, turned_x);
    store<T>(of_q ? a.q_out : a.k_out, to + a.half, turned_y);
  }
}

template <typename T, int vec>
void launch(const Rotate& a, Stream stream) {
  const std::int64_t items = std::int64_t{a.q_heads + a.k_heads} * a.half / vec;
  turn<T, vec><<<static_cast<unsigned>(a.rows), std::min(512, whole_warps(items)), 0, stream>>>(a);
}

template <typename T>
void launch(const Rotate& a, Stream stream) {
  constexpr int vec = wide<T>;
  const bool wide_rows = aligned(a.q, a.k, a.q_out, a.k_out, a.cos, a.sin) && a.half % vec == 0 &&
                         a.q_stride % vec == 0 && a.k_stride % vec == 0;
  wide_rows ? launch<T, vec>(a, stream) : launch<T, 1>(a, stream);
}

}  // namespace

void rotate(const Rotate& a, Type type, Stream stream) {
  if (type == Type::bf16) launch<bf16>(a, stream);
  if (type == Type::f32) launch<float>(a, stream);
  if (type == Type::f64) launch<double>(a, stream);
}

}  // namespace cornstarch::nn::cuda
