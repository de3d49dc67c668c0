// bench-attention THREADS ROUNDS: milliseconds of forward and backward of attention over 8192 tokens on one
// rank, 4 heads of 64, fp32, under several masks. A round goes through them there and back, and twice more
// through the last two, of which little separates; the fastest turn counts. Prints JSON: each mask's density,
// which is the share of 128 x 128 tiles that are not empty, then a line for each round.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "cornstarch/nn/context_attention.h"

namespace {

using namespace cornstarch;
using config::AttentionMask;
using plan::AttentionPattern;

constexpr std::int64_t kTokens = 8192, kHeads = 4, kHeadDim = 64, kTile = 128;
constexpr std::int64_t kPicture = 576;  // tokens of one

struct Case {
  std::string name;
  double density;
  std::function<void()> run;
};

std::vector<std::int64_t> all_tokens() {
  std::vector<std::int64_t> tokens(kTokens);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

/// Samples of these lengths in one row; of each, about half is pictures between stretches of text.
AttentionPattern packed(const std::vector<std::int64_t>& lengths, AttentionMask mask) {
  std::vector<std::int64_t> ids(kTokens, 0), starts;
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    if (begin > 0) starts.push_back(begin);
    for (std::int64_t at = begin + kPicture / 2; at + kPicture < begin + length; at += 2 * kPicture)
      std::fill_n(ids.begin() + at, kPicture, -1);
    begin += length;
  }
  return plan::attention_pattern({{ids, starts}}, kTokens, {kPicture}, mask);
}

double density(const AttentionPattern& pattern) {
  const auto tokens = all_tokens();
  plan::TokenShares tiles;
  for (std::int64_t begin = 0; begin < kTokens; begin += kTile)
    tiles.emplace_back(tokens.begin() + begin, tokens.begin() + begin + kTile);
  std::int64_t full = 0;
  for (const auto& row : plan::attention_pairs(pattern, tiles))
    for (const std::int64_t pairs : row) full += pairs > 0;
  return static_cast<double>(full) / static_cast<double>(tiles.size() * tiles.size());
}

at::Tensor leaf(std::vector<std::int64_t> sizes) {
  return at::randn(sizes, at::kFloat).set_requires_grad(true);
}

Case ours(const std::string& name, const AttentionPattern& pattern) {
  const std::int64_t width = kHeads * kHeadDim;
  const auto alone = comm::alone();
  const auto layout =
      nn::context_layout(pattern, {all_tokens()}, config::SpMode::ring, alone, alone->world());
  const at::Tensor grad = at::randn({kTokens, width}, at::kFloat);
  return {name, density(pattern),
          [=, q = leaf({kTokens, width}), k = leaf({kTokens, width}), v = leaf({kTokens, width})] {
            nn::context_attention(q, k, v, kHeadDim, layout).backward(grad);
            for (const at::Tensor& x : {q, k, v}) x.mutable_grad().reset();
          }};
}

/// ATen's own kernel, on heads that are views of the same rows.
Case atens_causal() {
  const std::int64_t width = kHeads * kHeadDim;
  const at::Tensor grad = at::randn({kTokens, width}, at::kFloat);
  const auto heads = [](const at::Tensor& x) {
    return x.view({1, kTokens, kHeads, kHeadDim}).transpose(1, 2);
  };
  return {"ATen causal", density(packed({kTokens}, AttentionMask::causal)),
          [=, q = leaf({kTokens, width}), k = leaf({kTokens, width}), v = leaf({kTokens, width})] {
            at::scaled_dot_product_attention(heads(q), heads(k), heads(v), std::nullopt, 0.0, true)
                .backward(heads(grad));
            for (const at::Tensor& x : {q, k, v}) x.mutable_grad().reset();
          }};
}

double milliseconds(const Case& c) {
  const auto begin = std::chrono::steady_clock::now();
  c.run();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

void print(const std::vector<Case>& cases, const std::vector<double>& values) {
  for (std::size_t i = 0; i < cases.size(); ++i)
    std::printf("%s\"%s\": %.4f", i == 0 ? "{" : ", ", cases[i].name.c_str(), values[i]);
  std::puts("}");
  std::fflush(stdout);
}

void run(int rounds) {
  const std::vector<std::int64_t> two{kTokens / 2, kTokens / 2};
  const std::vector<Case> cases{ours("dense", plan::item_pattern(1, kTokens)),
                                ours("packed", packed({5003, 2189, 1000}, AttentionMask::causal)),
                                ours("image_bidirectional", packed(two, AttentionMask::image_bidirectional)),
                                ours("modality_isolated", packed(two, AttentionMask::modality_isolated)),
                                ours("causal", packed({kTokens}, AttentionMask::causal)),
                                atens_causal()};
  std::vector<double> values;
  for (const Case& c : cases) values.push_back(c.density);
  print(cases, values);
  for (const Case& c : cases) c.run();
  const std::size_t last = cases.size() - 1;
  for (int round = 0; round < rounds; ++round) {
    std::fill(values.begin(), values.end(), std::numeric_limits<double>::infinity());
    const auto turn = [&](std::size_t i) { values[i] = std::min(values[i], milliseconds(cases[i])); };
    for (std::size_t i = 0; i <= last; ++i) turn(i);
    for (std::size_t i = last + 1; i-- > 0;) turn(i);
    for (const std::size_t i : {last - 1, last, last, last - 1}) turn(i);
    print(cases, values);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: bench-attention THREADS ROUNDS\n", stderr);
    return 2;
  }
  try {
    at::set_num_threads(std::atoi(argv[1]));
    run(std::atoi(argv[2]));
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 1;
  }
}
