#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_flash_attention.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <exception>

#include "cornstarch/nn/context_attention.h"
#include "cornstarch/nn/layers.h"
#include "flash.h"
#include "gpu.h"

using namespace cornstarch;
using namespace cornstarch::nn;

namespace {

struct Shape {
  std::int64_t b, t, heads, kv_heads, head_dim;
  bool causal;
};

using Attention = std::function<at::Tensor(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v)>;

struct Candidate {
  const char* name;
  Attention attention;
};

std::vector<Candidate> candidates(bool causal) {
  return {{"cuDNN",
           [causal](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
             return std::get<0>(
                 at::_scaled_dot_product_cudnn_attention(q, k, v, std::nullopt, true, 0.0, causal));
           }},
          {"flash",
           [causal](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
             return std::get<0>(at::_scaled_dot_product_flash_attention(q, k, v, 0.0, causal));
           }},
          {"chosen", [causal](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
             const auto flat = [](const at::Tensor& x) { return x.transpose(1, 2).flatten(2); };
             return attention(flat(q), flat(k), flat(v), q.size(3), causal)
                 .view({q.size(0), q.size(2), q.size(1), q.size(3)})
                 .transpose(1, 2);
           }}};
}

// All tokens that are no padding, on one rank.
plan::TokenLayout laid_by(const plan::AttentionPattern& pattern) {
  return {{},
          0,
          {{0, pattern}},
          plan::distribute(pattern, 1, config::Distribution::uniform, config::SpMode::all_to_all)};
}

// [b, heads, t, head_dim], laid out as products give it.
at::Tensor heads_first(const Shape& s, std::int64_t heads, std::uint64_t seed) {
  return gpu_noise({s.b, s.t, heads, s.head_dim}, at::kBFloat16, seed)
      .transpose(1, 2)
      .detach()
      .set_requires_grad(true);
}

void print_times(const Shape& s) {
  const at::Tensor q = heads_first(s, s.heads, 1), k = heads_first(s, s.kv_heads, 2),
                   v = heads_first(s, s.kv_heads, 3);
  const at::Tensor grad = heads_first(s, s.heads, 4).detach();
  const double flops =
      4.0 * static_cast<double>(s.b * s.heads * s.t * s.t * s.head_dim) * (s.causal ? 0.5 : 1.0);
  for (const Candidate& c : candidates(s.causal)) {
    std::printf("%3ld %6ld %3ld/%-3ld %4ld %-7s %-7s", s.b, s.t, s.heads, s.kv_heads, s.head_dim,
                s.causal ? "causal" : "full", c.name);
    try {
      const double forward = median_ms([&] { c.attention(q, k, v); });
      const double both = median_ms([&] {
        for (const at::Tensor& x : {q, k, v}) x.mutable_grad().reset();
        c.attention(q, k, v).backward(grad);
      });
      std::printf("%9.3f ms %5.0f TFLOP/s  with backward %9.3f ms %5.0f TFLOP/s\n", forward,
                  flops / forward * 1e-9, both, 3.5 * flops / both * 1e-9);
    } catch (const std::exception& e) {
      std::printf("  takes no such shape: %.60s\n", e.what());
    }
  }
}

}  // namespace

TEST_CASE("attention on the GPU equals the CPU's in fp64", "[cuda]") {
  // ATen's kernels round the probabilities to bf16.
  for (const Precision& precision : {Precision{at::kBFloat16, 1e-2}, Precision{at::kFloat, 1e-5}}) {
    for (const auto& [b, t, heads, kv_heads, head_dim, causal] : std::vector<Shape>{{2, 128, 4, 4, 64, true},
                                                                                    {1, 77, 8, 2, 64, true},
                                                                                    {2, 257, 4, 1, 128, true},
                                                                                    {3, 50, 2, 2, 80, false},
                                                                                    {1, 2, 4, 2, 64, true}}) {
      CAPTURE(precision.type, b, t, heads, kv_heads, head_dim, causal);
      for (const double softcap : {0.0, 0.8}) {
        CAPTURE(softcap);
        const auto f = [=, d = head_dim, c = causal](const Tensors& in) {
          return Tensors{attention(in[0], in[1], in[2], d, c, softcap)};
        };
        expect_same(f, f,
                    {noise({b, t, heads * head_dim}, 1), noise({b, t, kv_heads * head_dim}, 2),
                     noise({b, t, kv_heads * head_dim}, 3)},
                    precision);
      }
    }
  }
}

TEST_CASE("masked attention on the GPU equals the CPU's in fp64", "[cuda]") {
  // Two samples in one row; in the other, shorter one an item whose tokens see each other.
  const std::vector<std::int64_t> packed(96, 7);
  std::vector<std::int64_t> mixed(61, 7);
  std::fill(mixed.begin() + 10, mixed.begin() + 26, -1);
  const auto pattern = plan::attention_pattern({{packed, {40}}, {mixed, {}}}, 96, {16},
                                               config::AttentionMask::image_bidirectional);
  const auto laid = laid_by(pattern);
  const std::int64_t tokens = laid.count(0);
  const auto comm = comm::alone();
  for (const Precision& precision : {Precision{at::kBFloat16, 1e-2}, Precision{at::kFloat, 1e-5}}) {
    for (const auto& [b, t, heads, kv_heads, head_dim, causal] : std::vector<Shape>{
             {1, tokens, 4, 4, 64, true}, {1, tokens, 8, 2, 64, true}, {1, tokens, 4, 2, 24, true}}) {
      CAPTURE(precision.type, heads, kv_heads, head_dim);
      for (const double softcap : {0.0, 0.8}) {
        CAPTURE(softcap);
        const auto f = [&, d = head_dim](const Tensors& in) {
          const auto layout = context_layout(laid, 0, config::SpMode::all_to_all, comm, comm->world());
          const auto here = on_device(layout, in[0].device());
          return Tensors{context_attention(in[0], in[1], in[2], d, here, softcap)};
        };
        expect_same(f, f,
                    {noise({t, heads * head_dim}, 1), noise({t, kv_heads * head_dim}, 2),
                     noise({t, kv_heads * head_dim}, 3)},
                    precision);
      }
    }
  }
}

TEST_CASE("speed of masked attention beside the causal flash kernel's", "[.bench]") {
  // 16k tokens of Llama 3.2 1B; of each 2048, one picture of 1024.
  constexpr std::int64_t kTokens = 16384, kHeads = 32, kKvHeads = 8, kHeadDim = 64;
  std::vector<std::int64_t> ids(kTokens, 7);
  for (std::int64_t at = 512; at < kTokens; at += 2048) std::fill_n(ids.begin() + at, 1024, -1);
  const auto comm = comm::alone();
  const auto noise_of = [](std::int64_t heads, std::uint64_t seed) {
    return gpu_noise({kTokens, heads * kHeadDim}, at::kBFloat16, seed).set_requires_grad(true);
  };
  const at::Tensor q = noise_of(kHeads, 1), k = noise_of(kKvHeads, 2), v = noise_of(kKvHeads, 3);
  const at::Tensor grad = noise_of(kHeads, 4).detach();
  double flash_rate[2] = {0, 0};
  const auto print = [&](const char* name, double tiles, const Attention& attend) {
    const double forward = median_ms([&] { attend(q, k, v); });
    const double both = median_ms([&] {
      for (const at::Tensor& x : {q, k, v}) x.mutable_grad().reset();
      attend(q, k, v).backward(grad);
    });
    const double rate[2] = {tiles / forward, tiles / both};
    if (flash_rate[0] == 0) std::copy(rate, rate + 2, flash_rate);
    std::printf(
        "%-22s %6.0f tiles  forward %8.3f ms, %4.2f of flash  with backward %8.3f ms, %4.2f of flash\n", name,
        tiles, forward, rate[0] / flash_rate[0], both, rate[1] / flash_rate[1]);
  };
  const auto tiles_of = [&](const plan::AttentionPattern& pattern) {
    plan::TokenShares blocks(kTokens / 128);
    for (std::int64_t i = 0; i < kTokens; ++i) blocks[static_cast<std::size_t>(i / 128)].push_back(i);
    double tiles = 0;
    for (const auto& row : plan::attention_pairs(pattern, blocks))
      tiles +=
          static_cast<double>(std::count_if(row.begin(), row.end(), [](auto pairs) { return pairs > 0; }));
    return tiles;
  };
  const auto pattern_of = [&](config::AttentionMask mask) {
    return plan::attention_pattern({{ids, {}}}, kTokens, {1024}, mask);
  };
  const double causal = tiles_of(pattern_of(config::AttentionMask::causal));
  print("causal, flash", causal, [&](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
    const auto heads = [](const at::Tensor& x) {
      return x.view({1, kTokens, x.size(1) / kHeadDim, kHeadDim}).transpose(1, 2);
    };
    return std::get<0>(at::_scaled_dot_product_flash_attention(heads(a), heads(b), heads(c), 0.0, true))
        .transpose(1, 2)
        .reshape(a.sizes());
  });
  for (const auto& [name, mask] :
       {std::pair{"causal", config::AttentionMask::causal},
        std::pair{"image_bidirectional", config::AttentionMask::image_bidirectional},
        std::pair{"modality_isolated", config::AttentionMask::modality_isolated}}) {
    const auto pattern = pattern_of(mask);
    const auto layout = on_device(
        context_layout(laid_by(pattern), 0, config::SpMode::all_to_all, comm, comm->world()), at::kCUDA);
    print(name, tiles_of(pattern), [&](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
      return context_attention(a, b, c, kHeadDim, layout);
    });
  }
}

TEST_CASE("speed of ATen's attention kernels", "[.bench]") {
  std::puts("  b      t   heads  dim");
  for (const std::int64_t head_dim : {64, 128}) {
    const std::int64_t heads = 2048 / head_dim;
    print_times({8, 2048, heads, 8, head_dim, true});
    print_times({4, 4096, heads, 8, head_dim, true});
    print_times({1, 16384, heads, 8, head_dim, true});
  }
  print_times({8, 577, 16, 16, 64, false});   // CLIP-L/336
  print_times({8, 1500, 20, 20, 64, false});  // Whisper large
  print_times({8, 729, 16, 16, 72, false});
}

TEST_CASE("attention so long that cuDNN computes it is that of a few heads at a time", "[cuda][large]") {
  constexpr std::int64_t heads = 32, kv_heads = 8, head_dim = 64, group = heads / kv_heads;
  for (const bool causal : {true, false}) {
    const std::int64_t n = causal ? 8192 : 4096, m = causal ? n : 16384;
    CAPTURE(causal);
    const at::Tensor q = gpu_noise({1, n, heads, head_dim}, at::kBFloat16, 1);
    const at::Tensor k = gpu_noise({1, m, kv_heads, head_dim}, at::kBFloat16, 2);
    const at::Tensor v = gpu_noise({1, m, kv_heads, head_dim}, at::kBFloat16, 3);
    const at::Tensor grad = gpu_noise({1, n, heads, head_dim}, at::kBFloat16, 4);
    const Attended all = flash_forward(q, k, v, causal);
    const auto [dq, dk, dv] = flash_backward(grad, q, k, v, all, causal);
    for (std::int64_t h = 0; h < kv_heads; h += 3) {
      const auto mine = [&](const at::Tensor& x) { return x.narrow(2, h * group, group); };
      const auto theirs = [&](const at::Tensor& x) { return x.narrow(2, h, 1); };
      const Attended some = flash_forward(mine(q), theirs(k), theirs(v), causal);
      expect_near(mine(all.out), some.out.to(at::kCPU, at::kDouble), 1e-2);
      expect_near(mine(all.lse), some.lse.to(at::kCPU, at::kDouble), 1e-5);
      const Attended of_all{mine(all.out), mine(all.lse)};
      const auto [q_grad, k_grad, v_grad] =
          flash_backward(mine(grad), mine(q), theirs(k), theirs(v), of_all, causal);
      expect_near(mine(dq), q_grad.to(at::kCPU, at::kDouble), 2e-2);
      expect_near(theirs(dk), k_grad.to(at::kCPU, at::kDouble), 2e-2);
      expect_near(theirs(dv), v_grad.to(at::kCPU, at::kDouble), 2e-2);
    }
  }
}
