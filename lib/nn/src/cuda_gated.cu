#include "cornstarch/nn/device.cuh"
#include "cuda_kernels.h"

// A thread takes 16 bytes of each tensor: forward reads gate and up and writes one tensor, backward reads
// three and writes two. Which activation it is, every thread of a launch agrees on, so asking costs nothing
// beside the memory.
namespace cornstarch::nn::cuda {
namespace {

using catalog::Activation;

constexpr int threads = 256;

template <typename C>
struct Slope {
  C value;
  C derivative;
};

template <typename C>
__device__ Slope<C> sigmoid_unit(C x, C a) {
  const C sigmoid = C(1) / (C(1) + exp(-a * x));
  return {x * sigmoid, sigmoid * (C(1) + a * x * (C(1) - sigmoid))};
}

template <typename C>
__device__ Slope<C> gelu(C x) {
  constexpr C inv_sqrt2 = C(0.70710678118654752440), inv_sqrt_2pi = C(0.39894228040143267794);
  const C below = C(0.5) * (C(1) + erf(x * inv_sqrt2));
  return {x * below, below + x * inv_sqrt_2pi * exp(C(-0.5) * x * x)};
}

// Hendrycks & Gimpel, "Gaussian error linear units", 2016: the approximation by tanh.
template <typename C>
__device__ Slope<C> gelu_tanh(C x) {
  constexpr C sqrt_2_over_pi = C(0.79788456080286535588), cubic = C(0.044715);
  const C t = tanh(sqrt_2_over_pi * (x + cubic * x * x * x));
  const C inner = sqrt_2_over_pi * (C(1) + C(3) * cubic * x * x);
  return {C(0.5) * x * (C(1) + t), C(0.5) * (C(1) + t) + C(0.5) * x * (C(1) - t * t) * inner};
}

template <typename C>
__device__ Slope<C> activate(Activation kind, C x) {
  switch (kind) {
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return gelu_tanh(x);
    case Activation::quick_gelu:
      return sigmoid_unit(x, C(1.702));
    case Activation::silu:
      return sigmoid_unit(x, C(1));
    case Activation::relu:
      return {x > C(0) ? x : C(0), x > C(0) ? C(1) : C(0)};
  }
  return {};
}

struct Place {
  std::int64_t row, column;
};

// Where this thread's pack begins; past the last row where there is none left.
template <int vec>
__device__ Place place(const Gated& a) {
  const std::int64_t pack = std::int64_t{blockIdx.x} * threads + threadIdx.x;
  const std::int64_t packs = a.size / vec;
  return {pack / packs, pack % packs * vec};
}

template <typename T, int vec>
__global__ void __launch_bounds__(threads) forward(const Gated a) {
  using C = Compute<T>;
  const auto [row, column] = place<vec>(a);
  if (row >= a.rows) return;
  C gate[vec], up[vec];
  load<T>(a.gate, row * a.gate_stride + column, gate);
  if (a.up != nullptr) load<T>(a.up, row * a.up_stride + column, up);
#pragma unroll
  for (int i = 0; i < vec; ++i) {
    gate[i] = activate(a.kind, gate[i]).value;
    if (a.up != nullptr) gate[i] *= up[i];
  }
  store<T>(a.out, row * a.size + column, gate);
}

template <typename T, int vec>
__global__ void __launch_bounds__(threads) backward(const Gated a, const GatedGrads grads) {
  using C = Compute<T>;
  const auto [row, column] = place<vec>(a);
  if (row >= a.rows) return;
  const std::int64_t at = row * a.size + column;
  C grad[vec], gate[vec], up[vec];
  load<T>(grads.out, at, grad);
  load<T>(a.gate, row * a.gate_stride + column, gate);
  if (a.up != nullptr) load<T>(a.up, row * a.up_stride + column, up);
#pragma unroll
  for (int i = 0; i < vec; ++i) {
    const Slope<C> slope = activate(a.kind, gate[i]);
    gate[i] = grad[i] * slope.derivative;
    if (a.up != nullptr) gate[i] *= up[i];
    up[i] = grad[i] * slope.value;
  }
  store<T>(grads.gate, at, gate);
  if (a.up != nullptr) store<T>(grads.up, at, up);
}

template <int vec>
unsigned blocks(const Gated& a) {
  return static_cast<unsigned>((a.rows * (a.size / vec) + threads - 1) / threads);
}

template <typename T>
bool wide_rows(const Gated& a, const GatedGrads& grads) {
  return aligned(a.gate, a.up, a.out, grads.out, grads.gate, grads.up) && a.size % wide<T> == 0 &&
         a.gate_stride % wide<T> == 0 && a.up_stride % wide<T> == 0;
}

template <typename T>
void launch(const Gated& a, Stream stream) {
  constexpr int vec = wide<T>;
  if (wide_rows<T>(a, {})) {
    forward<T, vec><<<blocks<vec>(a), threads, 0, stream>>>(a);
  } else {
    forward<T, 1><<<blocks<1>(a), threads, 0, stream>>>(a);
  }
}

template <typename T>
void launch_backward(const Gated& a, const GatedGrads& grads, Stream stream) {
  constexpr int vec = wide<T>;
  if (wide_rows<T>(a, grads)) {
    backward<T, vec><<<blocks<vec>(a), threads, 0, stream>>>(a, grads);
  } else {
    backward<T, 1><<<blocks<1>(a), threads, 0, stream>>>(a, grads);
  }
}

}  // namespace

void gated(const Gated& a, Type type, Stream stream) {
  if (type == Type::bf16) launch<bf16>(a, stream);
  if (type == Type::f32) launch<float>(a, stream);
  if (type == Type::f64) launch<double>(a, stream);
}

void gated_backward(const Gated& a, const GatedGrads& grads, Type type, Stream stream) {
  if (type == Type::bf16) launch_backward<bf16>(a, grads, stream);
  if (type == Type::f32) launch_backward<float>(a, grads, stream);
  if (type == Type::f64) launch_backward<double>(a, grads, stream);
}

}  // namespace cornstarch::nn::cuda
