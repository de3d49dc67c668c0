#include "cornstarch/nn/layers.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/ones_like.h>

#include "cuda_layers.h"
#include "gpu.h"

using namespace cornstarch;
using namespace cornstarch::nn;
using catalog::Activation;

namespace {

const std::vector<Activation> kinds{Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu,
                                    Activation::silu, Activation::relu};

RopeTable table_like(Rope& rope, std::int64_t length, const at::Tensor& x) {
  return rope.table(length, x.options());
}

}  // namespace

TEST_CASE("rotary embedding on the GPU equals the CPU's in fp64, back and forth", "[cuda]") {
  struct Case {
    std::int64_t b, t, heads, kv_heads, head_dim;
  };
  for (const Precision& precision : precisions()) {
    for (const auto& [b, t, heads, kv_heads, head_dim] : std::vector<Case>{
             {1, 1, 1, 1, 2}, {2, 5, 3, 1, 6}, {1, 301, 4, 4, 80}, {3, 129, 32, 8, 64}, {2, 33, 7, 1, 128}}) {
      CAPTURE(precision.type, b, t, heads, kv_heads, head_dim);
      // Tables that fp32 represents: the same on both sides.
      Rope rope({}, head_dim);
      const auto f = [&, length = t](const Tensors& in) {
        RopeTable table = table_like(rope, length, in[0].detach().to(at::kFloat));
        if (in[0].scalar_type() == at::kDouble)
          table = {table.cos.to(at::kDouble), table.sin.to(at::kDouble)};
        const auto [q, k] = rotate(in[0] * 1.0, in[1] * 1.0, table);
        return Tensors{q, k};
      };
      expect_same(f, f, {noise({b, t, heads * head_dim}, 1), noise({b, t, kv_heads * head_dim}, 2)},
                  precision);
    }
  }
}

TEST_CASE("the rotary embedding takes columns of a wider product", "[cuda]") {
  const at::Tensor qkv = gpu_noise({2, 5, 6 * 16}, at::kBFloat16, 1);
  const at::Tensor q = qkv.narrow(2, 0, 64), k = qkv.narrow(2, 64, 16);
  Rope rope({}, 16);
  const RopeTable table = table_like(rope, 5, q.to(at::kFloat));
  const auto rotated = [&](const at::Tensor& from_q, const at::Tensor& from_k) {
    const at::Tensor q_out = at::empty_like(q.contiguous()), k_out = at::empty_like(k.contiguous());
    cuda::rotate(from_q, from_k, table, false, q_out, k_out);
    return std::pair(q_out, k_out);
  };
  const auto strided = rotated(q, k), dense = rotated(q.contiguous(), k.contiguous());
  CHECK(strided.first.equal(dense.first));
  CHECK(strided.second.equal(dense.second));
}

TEST_CASE("activations on the GPU equal the CPU's in fp64, gated or not", "[cuda]") {
  for (const Precision& precision : precisions()) {
    for (const Activation kind : kinds) {
      for (const auto& [rows, size] :
           std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {3, 333}, {129, 1024}}) {
        CAPTURE(precision.type, static_cast<int>(kind), rows, size);
        const auto plain = [kind](const Tensors& in) { return Tensors{activation(kind, in[0])}; };
        const auto with_gate = [kind](const Tensors& in) { return Tensors{gated(kind, in[0], in[1])}; };
        const at::Tensor x = noise({rows, size}, 1) * 3;
        expect_same(plain, plain, {x}, precision);
        expect_same(with_gate, with_gate, {x, noise({rows, size}, 2)}, precision);
      }
    }
  }
}

TEST_CASE("gate and up may be halves of one product", "[cuda]") {
  const std::int64_t size = GENERATE(48, 51);
  CAPTURE(size);
  const at::Tensor both = gpu_noise({2, 7, 2 * size}, at::kBFloat16, 1),
                   grad = gpu_noise({2, 7, size}, at::kBFloat16, 2);
  const at::Tensor gate = both.narrow(2, 0, size), up = both.narrow(2, size, size);
  CHECK(
      cuda::gated(Activation::silu, gate, up).equal(cuda::gated(Activation::silu, gate.clone(), up.clone())));
  const auto got = cuda::gated_backward(Activation::silu, grad, gate, up);
  const auto expected = cuda::gated_backward(Activation::silu, grad, gate.clone(), up.clone());
  CHECK(got.gate.equal(expected.gate));
  CHECK(got.up.equal(expected.up));
}

TEST_CASE("activations far from zero stay finite", "[cuda]") {
  const at::Tensor x = noise({4096}, 1).to(at::kCUDA, at::kFloat) * 1000;
  for (const Activation kind : kinds) {
    CAPTURE(static_cast<int>(kind));
    const at::Tensor ones = at::ones_like(x);
    CHECK(at::isfinite(cuda::gated(kind, x, {})).all().item<bool>());
    CHECK(at::isfinite(cuda::gated_backward(kind, ones, x, {}).gate).all().item<bool>());
  }
}

TEST_CASE("bandwidth of activations and the rotary embedding", "[.bench]") {
  const std::int64_t rows = 16384, size = 8192;
  const at::Tensor gate = gpu_noise({rows, size}, at::kBFloat16, 1),
                   up = gpu_noise({rows, size}, at::kBFloat16, 2),
                   grad = gpu_noise({rows, size}, at::kBFloat16, 3), none;
  const double once = static_cast<double>(rows * size) * 2;
  std::printf("activations of bf16 [%ld, %ld]\n", rows, size);
  print_bandwidth("swiglu", 3 * once, [&] { cuda::gated(Activation::silu, gate, up); });
  print_bandwidth("swiglu backward", 5 * once,
                  [&] { cuda::gated_backward(Activation::silu, grad, gate, up); });
  for (const Activation kind : {Activation::gelu, Activation::gelu_tanh, Activation::quick_gelu}) {
    std::printf("activation %d: ", static_cast<int>(kind));
    print_bandwidth("forward", 2 * once, [&] { cuda::gated(kind, gate, none); });
    print_bandwidth("backward", 3 * once, [&] { cuda::gated_backward(kind, grad, gate, none); });
  }
  for (const std::int64_t head_dim : {64, 128}) {
    const at::Tensor q = gpu_noise({4, 4096, 2048}, at::kBFloat16, 1),
                     k = gpu_noise({4, 4096, 512}, at::kBFloat16, 2);
    Rope rope({}, head_dim);
    const RopeTable table = table_like(rope, 4096, q.to(at::kFloat));
    std::printf("rotary embedding, heads of %ld: ", head_dim);
    print_bandwidth("in place", 4.0 * static_cast<double>(q.numel() + k.numel()),
                    [&] { cuda::rotate(q, k, table, false, q, k); });
  }
}
