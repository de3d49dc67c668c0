#include "cornstarch/nn/context_attention.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "catch.h"
#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "expect_close.h"

using namespace cornstarch;
using config::AttentionMask;
using config::Distribution;
using config::SpMode;

namespace {

class Random {
 public:
  explicit Random(std::uint32_t seed) : generator_(seed) {}
  std::int64_t between(std::int64_t first, std::int64_t last) {
    return first + static_cast<std::int64_t>(generator_() % static_cast<std::uint64_t>(last - first + 1));
  }
  bool chance(int one_in) { return between(1, one_in) == 1; }

 private:
  std::mt19937 generator_;
};

// What a token is, said without begin and end.
struct Token {
  int sample = -1;  // -1: padding
  int kind = -1;
  int item = -1;
};

struct Text {
  std::vector<std::vector<std::int64_t>> rows;    // ids of real tokens
  std::vector<std::vector<std::int64_t>> starts;  // of packed samples
  std::int64_t row_length = 0;
  std::vector<std::int64_t> item_rows;
  std::vector<Token> tokens;  // of all rows, padded

  plan::AttentionPattern pattern(AttentionMask mask) const {
    std::vector<plan::PatternRow> out;
    for (std::size_t r = 0; r < rows.size(); ++r) out.push_back({rows[r], starts[r]});
    return plan::attention_pattern(out, row_length, item_rows, mask);
  }
};

// Rows of text and items of two encoders, some packed, some padded.
Text random_text(Random& random, std::int64_t row_length, int num_rows) {
  Text text;
  text.row_length = row_length;
  text.item_rows = {random.between(1, 1 + row_length / 5), random.between(1, 40)};
  int sample = 0, item = 0;
  for (int r = 0; r < num_rows; ++r) {
    std::vector<std::int64_t> ids, starts;
    const std::int64_t length = random.chance(3) ? random.between(0, row_length) : row_length;
    while (static_cast<std::int64_t>(ids.size()) < length) {
      const std::int64_t left = length - static_cast<std::int64_t>(ids.size());
      if (!ids.empty() && random.chance(8)) {
        starts.push_back(static_cast<std::int64_t>(ids.size()));
        ++sample;
      }
      const int encoder = static_cast<int>(random.between(-1, 1));
      const std::int64_t size = encoder < 0 ? random.between(1, std::max<std::int64_t>(1, row_length / 4))
                                            : text.item_rows[static_cast<std::size_t>(encoder)];
      const bool fits = encoder >= 0 && size <= left;
      for (std::int64_t i = 0; i < std::min(size, left); ++i) {
        ids.push_back(fits ? -1 - encoder : 7);
        text.tokens.push_back({sample, fits ? encoder : -1, fits ? item : -1});
      }
      ++item;
    }
    ++sample;
    for (std::int64_t i = length; i < row_length; ++i) text.tokens.push_back({});
    text.rows.push_back(std::move(ids));
    text.starts.push_back(std::move(starts));
  }
  return text;
}

bool sees(const std::vector<Token>& tokens, std::size_t i, std::size_t j, AttentionMask mask,
          std::int64_t window) {
  const Token &a = tokens[i], &b = tokens[j];
  if (a.sample < 0 || a.sample != b.sample) return false;
  if (mask == AttentionMask::image_bidirectional && a.item >= 0 && a.item == b.item) return true;
  if (window > 0 && j + static_cast<std::size_t>(window) <= i) return false;
  if (mask == AttentionMask::modality_isolated && a.kind >= 0) return b.kind == a.kind;
  return j <= i;
}

at::Tensor dense_mask(const Text& text, AttentionMask mask, std::int64_t window = 0) {
  const std::size_t n = text.tokens.size();
  const at::Tensor out = at::zeros({static_cast<std::int64_t>(n), static_cast<std::int64_t>(n)}, at::kBool);
  bool* to = out.mutable_data_ptr<bool>();
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) *to++ = sees(text.tokens, i, j, mask, window);
  return out;
}

// [output, dq, dk, dv] with tokens first: [n, heads x d].
using Results = std::array<at::Tensor, 4>;

// By definition, in fp64 and head by head. Backward of softmax: dS = P (dP - sum(dP P)); of a soft-cap, by
// its derivative 1 - tanh^2.
Results dense_attention(const Results& in, std::int64_t d, const at::Tensor& mask, double softcap = 0) {
  const auto& [q, k, v, grad] = in;
  Results out{at::zeros_like(q), at::zeros_like(q), at::zeros_like(k), at::zeros_like(v)};
  const std::int64_t heads = q.size(1) / d, group = heads / (k.size(1) / d);
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  const at::Tensor blind = mask.logical_not();
  const at::Tensor sighted = mask.any(1, true);
  for (std::int64_t h = 0; h < heads; ++h) {
    const auto head = [&](const at::Tensor& x, std::int64_t i) { return x.narrow(1, i * d, d); };
    const at::Tensor qh = head(q, h), kh = head(k, h / group), vh = head(v, h / group), gh = head(grad, h);
    const at::Tensor plain = at::matmul(qh, kh.t()) * scale;
    const at::Tensor s = softcap > 0 ? softcap * (plain / softcap).tanh() : plain;
    const at::Tensor p = s.masked_fill(blind, -std::numeric_limits<double>::max()).softmax(-1) * sighted;
    const at::Tensor dp = at::matmul(gh, vh.t());
    at::Tensor ds = p * (dp - (dp * p).sum(-1, true)) * scale;
    if (softcap > 0) ds = ds * (1 - (plain / softcap).tanh().square());
    head(out[0], h).copy_(at::matmul(p, vh));
    head(out[1], h).copy_(at::matmul(ds, kh));
    head(out[2], h / group).add_(at::matmul(ds.t(), qh));
    head(out[3], h / group).add_(at::matmul(p.t(), gh));
  }
  return out;
}

struct Shape {
  std::int64_t heads, kv_heads, d;
};

Results random_inputs(std::int64_t n, const Shape& shape, std::uint64_t seed) {
  return {noise({n, shape.heads * shape.d}, seed), noise({n, shape.kv_heads * shape.d}, seed + 1),
          noise({n, shape.kv_heads * shape.d}, seed + 2), noise({n, shape.heads * shape.d}, seed + 3)};
}

// Context attention with the tokens spread by `shares`, put together again; zeros for tokens on no rank.
Results spread_attention(const Results& in, std::int64_t d, const plan::AttentionPattern& pattern,
                         const plan::TokenShares& shares, SpMode mode, double softcap = 0) {
  Results out{at::zeros_like(in[0]), at::zeros_like(in[0]), at::zeros_like(in[1]), at::zeros_like(in[2])};
  comm::run_threads(static_cast<int>(shares.size()), {}, [&](const comm::CommunicatorPtr& c) {
    const auto layout = nn::context_layout({{}, 0, {{0, pattern}}, shares}, 0, mode, c, c->world());
    const at::Tensor mine = at::tensor(shares[static_cast<std::size_t>(c->rank())], at::kLong);
    std::array<at::Tensor, 3> leaves;
    for (std::size_t i = 0; i < 3; ++i) leaves[i] = leaf(in[i].index_select(0, mine));
    const at::Tensor y = nn::context_attention(leaves[0], leaves[1], leaves[2], d, layout, softcap);
    y.backward(in[3].index_select(0, mine));
    out[0].index_copy_(0, mine, y.detach());
    for (std::size_t i = 0; i < 3; ++i) out[i + 1].index_copy_(0, mine, leaves[i].grad());
  });
  return out;
}

void expect_same(const Results& got, const Results& expected, double tolerance) {
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    expect_close(got[i], expected[i], tolerance);
  }
}

Results converted(const Results& in, at::ScalarType dtype) {
  Results out;
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i].to(dtype);
  return out;
}

std::int64_t random_length(Random& random, int number) {
  constexpr std::array<std::int64_t, 6> kLong{3000, 2999, 1543, 1021, 769, 1000};
  if (number < 6) return kLong[static_cast<std::size_t>(number)];
  return random.chance(3) ? random.between(1, 20) : random.between(21, 420);
}

Shape random_shape(Random& random, SpMode mode, int sp) {
  const std::int64_t kv_heads = mode == SpMode::all_to_all ? sp * random.between(1, 2) : random.between(1, 5);
  constexpr std::array<std::int64_t, 3> kDims{3, 8, 16};
  return {kv_heads * random.between(1, 3), kv_heads, kDims[static_cast<std::size_t>(random.between(0, 2))]};
}

}  // namespace

TEST_CASE("context attention equals dense attention: every mode, mask, distribution and size",
          "[nn][context]") {
  int number = 0;
  for (int round = 0; round < 2; ++round)
    for (const auto mode : {SpMode::all_to_all, SpMode::ring_attn, SpMode::ring})
      for (const auto mask :
           {AttentionMask::causal, AttentionMask::image_bidirectional, AttentionMask::modality_isolated})
        for (const auto how : {Distribution::uniform, Distribution::zigzag, Distribution::makespan})
          for (const int sp : {1, 2, 3, 4}) {
            Random random(static_cast<std::uint32_t>(number));
            const std::int64_t length = random_length(random, number % 37 == 0 ? number / 37 : 99);
            const bool several = length < 200 && random.chance(2);
            const Text text = random_text(random, length, several ? 2 : 1);
            const Shape shape = length > 500 ? Shape{4, mode == SpMode::all_to_all ? 4 : 2, 16}
                                             : random_shape(random, mode, sp);
            const std::int64_t window =
                random.chance(2) ? random.between(1, std::max<std::int64_t>(1, length / 2)) : 0;
            INFO("case " << number << ": " << name_of(mode) << ", " << name_of(mask) << ", " << name_of(how)
                         << ", sp " << sp << ", " << text.rows.size() << " x " << length << " tokens, "
                         << shape.heads << "/" << shape.kv_heads << " heads of " << shape.d << ", window "
                         << window);
            const auto pattern = window > 0 ? plan::windowed(text.pattern(mask), window) : text.pattern(mask);
            const auto shares = plan::distribute(pattern, sp, how, mode);
            const Results in = random_inputs(pattern.size(), shape, static_cast<std::uint64_t>(number));
            const Results expected = dense_attention(in, shape.d, dense_mask(text, mask, window));
            expect_same(spread_attention(in, shape.d, pattern, shares, mode), expected, 1e-9);
            expect_same(spread_attention(converted(in, at::kFloat), shape.d, pattern, shares, mode), expected,
                        1e-5);
            ++number;
          }
  CHECK(number == 216);
}

TEST_CASE("context attention with a soft-cap equals dense attention, in every mode", "[nn][context]") {
  for (const auto mode : {SpMode::all_to_all, SpMode::ring_attn, SpMode::ring})
    for (const auto mask : {AttentionMask::causal, AttentionMask::image_bidirectional})
      for (const int sp : {1, 2, 3})
        for (const std::int64_t window : {0, 11}) {
          CAPTURE(name_of(mode), name_of(mask), sp, window);
          Random random(static_cast<std::uint32_t>(sp));
          const Text text = random_text(random, 70, 2);
          const auto pattern = window > 0 ? plan::windowed(text.pattern(mask), window) : text.pattern(mask);
          const auto shares = plan::distribute(pattern, sp, Distribution::zigzag, mode);
          const Results in = random_inputs(pattern.size(), {12, 6, 8}, 5);
          const Results expected = dense_attention(in, 8, dense_mask(text, mask, window), 0.8);
          expect_same(spread_attention(in, 8, pattern, shares, mode, 0.8), expected, 1e-9);
          expect_same(spread_attention(converted(in, at::kFloat), 8, pattern, shares, mode, 0.8), expected,
                      1e-5);
        }
}

TEST_CASE("attention of several threads equals dense attention", "[nn][context]") {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  Random random(1);
  const Text text = random_text(random, 400, 1);
  for (const Shape& shape : {Shape{8, 4, 8}, Shape{6, 6, 8}, Shape{2, 1, 8}, Shape{3, 3, 8}})
    for (const auto mask :
         {AttentionMask::causal, AttentionMask::image_bidirectional, AttentionMask::modality_isolated}) {
      CAPTURE(shape.heads, shape.kv_heads, name_of(mask));
      const auto pattern = text.pattern(mask);
      const auto shares = plan::distribute(pattern, 1, Distribution::uniform, SpMode::ring);
      const Results in = random_inputs(pattern.size(), shape, 1);
      expect_same(spread_attention(in, shape.d, pattern, shares, SpMode::ring),
                  dense_attention(in, shape.d, dense_mask(text, mask)), 1e-9);
    }
  at::set_num_threads(threads);
}
