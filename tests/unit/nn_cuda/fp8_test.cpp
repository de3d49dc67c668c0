#include "cornstarch/nn/fp8.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "cornstarch/nn/linear.h"
#include "cuda_operand.h"
#include "gpu.h"

using namespace cornstarch;
using Role = nn::Fp8Scales::Role;

namespace {

bool has_fp8() {
  cudaDeviceProp gpu{};
  cudaGetDeviceProperties(&gpu, 0);
  return gpu.major * 10 + gpu.minor >= 89;
}

const auto kBf16 = at::kBFloat16;

/// Scales of one layer on the GPU, as the largest values of those tensors make them.
std::shared_ptr<nn::Fp8Scales> scales_for(const Tensors& input_weight_gradient, at::Device device) {
  auto out = std::make_shared<nn::Fp8Scales>();
  out->add("layer");
  out->place(device, true);
  for (std::int64_t i = 0; i < 3; ++i)
    out->site(0, static_cast<Role>(i))
        .largest.copy_(input_weight_gradient[static_cast<std::size_t>(i)].abs().max());
  out->agree({}, at::full({}, true, at::TensorOptions(device).dtype(at::kBool)));
  out->begin_step();
  return out;
}

/// As the CPU rounds, in fp64.
at::Tensor rounded(const at::Tensor& x, double scale) {
  return x.mul(scale).clamp(-448, 448).to(at::kFloat8_e4m3fn).to(at::kDouble) / scale;
}

}  // namespace

TEST_CASE("a cast to fp8 gives rows and columns, rounded as on the CPU, and the largest that counts",
          "[cuda]") {
  for (const auto& [n, k] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {128, 64}, {1, 16}, {17, 16}, {130, 80}, {577, 1024}, {1000, 208}, {256, 4096}}) {
    CAPTURE(n, k);
    const at::Tensor x = (noise({n, k}, 1) * 3).to(kBf16);
    auto scales = scales_for({x / 4, x, x}, at::kCUDA);  // a quarter: some values are cut
    const nn::Fp8Scales::Site& site = scales->site(0, Role::input);
    const double scale = site.scale.item<float>();
    at::Tensor counted = at::full({n}, true, at::kBool);
    if (n > 1) counted[x.abs().amax(1).argmax().item<std::int64_t>()] = false;
    const Poison poison;
    const nn::Fp8Matrix got = nn::cuda::to_fp8(x.cuda(), site, {true, true}, counted.cuda());
    const at::Tensor want = rounded(x.to(at::kDouble), scale) * scale;
    CHECK(got.n == n);
    CHECK(got.rows.to(at::kFloat).cpu().to(at::kDouble).equal(want));
    const at::Tensor columns = got.columns.to(at::kFloat).cpu().to(at::kDouble);
    REQUIRE(columns.size(1) == (n + 15) / 16 * 16);
    CHECK(columns.narrow(1, 0, n).equal(want.t()));
    CHECK(columns.narrow(1, n, columns.size(1) - n).eq(0).all().item<bool>());
    const at::Tensor seen = x.abs().amax(1).masked_fill(counted.logical_not(), 0).max().to(at::kFloat);
    CHECK(site.largest.cpu().equal(seen));
    const nn::Fp8Matrix one = nn::cuda::to_fp8(x.cuda(), site, {false, true}, {});
    CHECK_FALSE(one.rows.defined());
    CHECK(one.columns.to(at::kFloat).cpu().to(at::kDouble).equal(columns));
    CHECK(site.largest.cpu().equal(x.abs().max().to(at::kFloat)));
  }
}

TEST_CASE("a layer in fp8 computes what its rounded operands give, and adds up its weight's gradients",
          "[cuda]") {
  if (!has_fp8()) SUCCEED("this GPU has no fp8");
  if (!has_fp8()) return;
  for (const bool with_bias : {false, true}) {
    const std::int64_t n = 300, in = 208, out = 96;
    CAPTURE(with_bias);
    const at::Tensor x = noise({n, in}, 1).to(kBf16), weight = (noise({out, in}, 2) / 10).to(kBf16),
                     bias = noise({out}, 3).to(kBf16), grad = (noise({n, out}, 4) / 100).to(kBf16);
    auto scales = scales_for({x, weight, grad}, at::kCUDA);
    const auto round = [&](Role role, const at::Tensor& t) {
      return rounded(t.to(at::kDouble), scales->site(0, role).scale.item<float>());
    };
    const at::Tensor x8 = round(Role::input, x), w8 = round(Role::weight, weight),
                     g8 = round(Role::gradient, grad);
    const Poison poison;
    const at::Tensor where = at::empty({out, in}, at::TensorOptions(at::kCUDA).dtype(at::kFloat));
    const auto sum = std::make_shared<nn::GradientSum>();
    sum->open(where);
    const at::Tensor on_gpu = x.cuda().view({2, n / 2, in}).set_requires_grad(true);
    const nn::Linear layer{
        weight.cuda().set_requires_grad(true), with_bias ? bias.cuda() : at::Tensor(), sum, {scales, 0}};
    for (const int times : {1, 2, 3}) {
      CAPTURE(times);
      on_gpu.mutable_grad().reset();
      const at::Tensor y = nn::linear(on_gpu, layer);
      at::Tensor want = x8.mm(w8.t());
      if (with_bias) want = want + bias.to(at::kDouble);
      expect_near(y.detach().flatten(0, 1), want, 5e-3);
      y.backward(grad.cuda().view_as(y));
      expect_near(on_gpu.grad().flatten(0, 1), g8.mm(w8), 5e-3);
      expect_near(where, times * g8.t().mm(x8), 2e-3);
    }
  }
}

TEST_CASE("layers of one input in fp8 add up what flows back to it", "[cuda]") {
  if (!has_fp8()) SUCCEED("this GPU has no fp8");
  if (!has_fp8()) return;
  const std::int64_t n = 64, in = 128;
  const at::Tensor x = noise({n, in}, 1).to(kBf16);
  auto scales = std::make_shared<nn::Fp8Scales>();
  for (const char* each : {"q", "k", "v"}) scales->add(each);
  scales->place(at::kCUDA, true);
  scales->scales().fill_(64);
  scales->changed();
  std::vector<nn::Linear> layers;
  Tensors grads;
  at::Tensor want = at::zeros({n, in}, at::kDouble);
  for (const std::int64_t out : {64, 16, 16}) {
    const auto seed = static_cast<std::uint64_t>(10 + layers.size());
    const at::Tensor weight = (noise({out, in}, seed) / 10).to(kBf16),
                     grad = noise({n, out}, seed + 9).to(kBf16);
    want = want + rounded(grad.to(at::kDouble), 64).mm(rounded(weight.to(at::kDouble), 64));
    layers.push_back({weight.cuda(), {}, nullptr, {scales, std::ssize(layers)}});
    grads.push_back(grad.cuda());
  }
  const at::Tensor on_gpu = x.cuda().set_requires_grad(true);
  const Poison poison;
  const Tensors y = nn::linears(on_gpu, layers);
  at::Tensor total;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const at::Tensor part = (y[i] * grads[i]).sum();
    total = total.defined() ? total + part : part;
  }
  total.backward();
  expect_near(on_gpu.grad(), want, 1e-2);
}

TEST_CASE("speed of casts and products in fp8 beside bf16's", "[.bench]") {
  if (!has_fp8()) return;
  const std::int64_t n = 16384;
  for (const auto& [in, out] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {2048, 512}, {2048, 2048}, {2048, 8192}, {8192, 2048}}) {
    const at::Tensor x = gpu_noise({n, in}, kBf16, 1), weight = gpu_noise({out, in}, kBf16, 2),
                     grad = gpu_noise({n, out}, kBf16, 3);
    auto scales = scales_for({x, weight, grad}, at::kCUDA);
    const nn::Fp8Scales::Site& site = scales->site(0, Role::input);
    const auto cast = [&](const at::Tensor& t) { return nn::cuda::to_fp8(t, site, {true, true}, {}); };
    const nn::Fp8Matrix x8 = cast(x), w8 = cast(weight), g8 = cast(grad);
    const auto rows = [](const nn::Fp8Matrix& m) { return nn::cuda::Fp8Rows{m.rows, m.inverse}; };
    const auto columns = [](const nn::Fp8Matrix& m) { return nn::cuda::Fp8Rows{m.columns, m.inverse}; };
    const at::Tensor flown = at::empty({n, in}, x.options()),
                     learnt = at::zeros({out, in}, x.options().dtype(at::kFloat));
    const auto tell = [&](const char* name, const std::function<void()>& call) {
      const double ms = median_ms(call);
      std::printf("%5ld -> %5ld  %-30s %8.3f ms %7.0f TFLOP/s\n", in, out, name, ms,
                  2e-9 * static_cast<double>(n * in * out) / ms);
    };
    tell("forward, bf16", [&] { nn::product(x, {weight}); });
    tell("forward, fp8", [&] { nn::cuda::fp8_product(rows(x8), rows(w8), {}); });
    tell("input gradient, bf16", [&] { nn::input_gradient(flown, grad, {weight}); });
    tell("input gradient, fp8", [&] { nn::cuda::fp8_gradient(flown, rows(g8), columns(w8), false); });
    tell("input gradient, fp8, added", [&] { nn::cuda::fp8_gradient(flown, rows(g8), columns(w8), true); });
    tell("weight gradient, fp8", [&] { nn::cuda::fp8_gradient(learnt, columns(g8), columns(x8), false); });
    tell("weight gradient, fp8, added",
         [&] { nn::cuda::fp8_gradient(learnt, columns(g8), columns(x8), true); });
    const double bytes = 4.0 * static_cast<double>(n * in);
    print_bandwidth("cast with its transpose", bytes, [&] { cast(x); });
    print_bandwidth("cast", 0.75 * bytes, [&] { nn::cuda::to_fp8(x, site, {true, false}, {}); });
  }
}
