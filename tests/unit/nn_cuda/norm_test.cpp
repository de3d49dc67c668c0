#include "cornstarch/nn/layers.h"
#include "cuda_layers.h"
#include "gpu.h"

using namespace cornstarch;
using namespace cornstarch::nn;

namespace {

struct Shape {
  std::int64_t rows, size;
};

// One row; rows of an odd length, which are read element by element; the usual; more rows than blocks; rows
// that take several packs per thread.
const std::vector<Shape> shapes{{1, 8},     {1, 5},      {37, 67},   {61, 1000},
                                {3001, 72}, {700, 2048}, {3, 16384}, {2, 16383}};

struct Case {
  std::int64_t rows, size;
  bool rms;
  double offset = 0;  // added to the weight of an RMSNorm
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const auto& [rows, size] : shapes) {
    out.push_back({rows, size, true});
    out.push_back({rows, size, true, 1});
    out.push_back({rows, size, false});
  }
  return out;
}

}  // namespace

TEST_CASE("norms on the GPU equal the CPU's in fp64", "[cuda]") {
  for (const Precision& precision : precisions()) {
    for (const auto& [rows, size, rms, offset] : cases()) {
      CAPTURE(precision.type, rows, size, rms, offset);
      const auto f = [rms = rms, offset = offset](const Tensors& in) {
        return Tensors{rms ? rms_norm(in[0], in[1], 1e-3, offset) : layer_norm(in[0], in[1], in[2], 1e-3)};
      };
      Tensors inputs{noise({rows, size}, 1) + 0.5, noise({size}, 2)};
      if (!rms) inputs.push_back(noise({size}, 3));
      expect_same(f, f, inputs, precision);
    }
  }
}

TEST_CASE("norms of a sum on the GPU equal the CPU's in fp64", "[cuda]") {
  const auto fused = [](const at::Tensor& branch, const Tensors& in, bool rms, double offset) {
    const NormedSum out = rms ? add_rms_norm(branch, in[1], in[2], 1e-3, offset)
                              : add_layer_norm(branch, in[1], in[2], in[3], 1e-3);
    return Tensors{out.sum, out.normed};
  };
  for (const Precision& precision : precisions()) {
    for (const auto& [rows, size, rms, offset] : cases()) {
      CAPTURE(precision.type, rows, size, rms, offset);
      const auto got = [&, rms = rms, offset = offset](const Tensors& in) {
        return fused(in[0] * 1.0, in, rms, offset);
      };
      // The sum is rounded to its type, and that is what is normed.
      const auto expected = [&, rms = rms, offset = offset](const Tensors& in) {
        const at::Tensor sum = (in[0] + in[1]).detach();
        return fused(in[0] + (sum.to(precision.type).to(at::kDouble) - sum), in, rms, offset);
      };
      Tensors inputs{noise({rows, size}, 1), noise({rows, size}, 2) + 0.5, noise({size}, 3)};
      if (!rms) inputs.push_back(noise({size}, 4));
      expect_same(got, expected, inputs, precision);
    }
  }
}

TEST_CASE("norms on the GPU are the same in every run", "[cuda]") {
  const at::Tensor x = gpu_noise({5000, 1024}, at::kFloat, 1), grad = gpu_noise({5000, 1024}, at::kFloat, 2),
                   weight = gpu_noise({1024}, at::kFloat, 3), bias = gpu_noise({1024}, at::kFloat, 4);
  const cuda::Normed normed = cuda::norm(x, {}, weight, bias, 1e-5, true, 0);
  const cuda::NormGrads once = cuda::norm_backward(grad, {}, x, weight, 0, normed, true, true);
  const cuda::NormGrads again = cuda::norm_backward(grad, {}, x, weight, 0, normed, true, true);
  CHECK(once.x.equal(again.x));
  CHECK(once.weight.equal(again.weight));
  CHECK(once.bias.equal(again.bias));
}

TEST_CASE("norms take a weight at an odd address, and no rows at all", "[cuda]") {
  const at::Tensor flat = gpu_noise({2049}, at::kBFloat16, 1), weight = flat.narrow(0, 1, 2048);
  const at::Tensor x = gpu_noise({7, 2048}, at::kBFloat16, 2);
  CHECK(cuda::norm(x, {}, weight, {}, 1e-5, false, 0)
            .y.equal(cuda::norm(x, {}, weight.clone(), {}, 1e-5, false, 0).y));
  const at::Tensor none = x.narrow(0, 0, 0);
  const cuda::Normed normed = cuda::norm(none, {}, weight, {}, 1e-5, false, 0);
  const cuda::NormGrads grads = cuda::norm_backward(none, {}, none, weight, 0, normed, true, true);
  CHECK(grads.weight.eq(0).all().item<bool>());
}

TEST_CASE("bandwidth of the norms", "[.bench]") {
  for (const auto& [rows, size] :
       std::vector<Shape>{{16384, 1024}, {16384, 2048}, {16384, 4096}, {8192, 8192}}) {
    const at::Tensor x = gpu_noise({rows, size}, at::kBFloat16, 1),
                     residual = gpu_noise({rows, size}, at::kBFloat16, 2),
                     weight = gpu_noise({size}, at::kBFloat16, 3), bias = gpu_noise({size}, at::kBFloat16, 4);
    std::printf("norms of bf16 [%ld, %ld]\n", rows, size);
    const double once = static_cast<double>(rows * size) * 2;
    const cuda::Normed rms = cuda::norm(x, {}, weight, {}, 1e-5, false, 0),
                       layer = cuda::norm(x, {}, weight, bias, 1e-5, true, 0);
    const at::Tensor none;
    print_bandwidth("rms_norm", 2 * once, [&] { cuda::norm(x, none, weight, none, 1e-5, false, 0); });
    print_bandwidth("rms_norm backward", 3 * once,
                    [&] { cuda::norm_backward(residual, none, x, weight, 0, rms, true, true); });
    print_bandwidth("add_rms_norm", 4 * once, [&] { cuda::norm(x, residual, weight, none, 1e-5, false, 0); });
    print_bandwidth("add_rms_norm backward", 4 * once,
                    [&] { cuda::norm_backward(residual, residual, x, weight, 0, rms, true, true); });
    print_bandwidth("layer_norm", 2 * once, [&] { cuda::norm(x, none, weight, bias, 1e-5, true, 0); });
    print_bandwidth("layer_norm backward", 3 * once,
                    [&] { cuda::norm_backward(residual, none, x, weight, 0, layer, true, true); });
  }
}
