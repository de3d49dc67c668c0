#include "math_attention.h"

#include "catch.h"
#include "expect_close.h"

using namespace cornstarch::nn;

TEST_CASE("attention by matrix products is what the flash kernel computes, forward and backward") {
  struct Shape {
    std::int64_t b, n, m, heads, kv_heads;
    bool causal;
  };
  const auto s = GENERATE(Shape{2, 37, 37, 6, 2, true}, Shape{1, 29, 53, 4, 4, false},
                          Shape{3, 1, 17, 4, 1, false}, Shape{1, 64, 5, 2, 2, false});
  const std::int64_t max_scores = GENERATE(kScores, std::int64_t{700});  // all queries at once, or a few
  const at::Tensor q = noise({s.b, s.n, s.heads, 16}, 1), grad = noise({s.b, s.n, s.heads, 16}, 4);
  const at::Tensor k = noise({s.b, s.m, s.kv_heads, 16}, 2), v = noise({s.b, s.m, s.kv_heads, 16}, 3);
  const Attended got = math_forward(q, k, v, s.causal, 0, max_scores);
  const Attended want = flash_forward(q, k, v, s.causal);
  expect_close(got.out, want.out, 1e-12);
  expect_close(got.lse, want.lse, 1e-12);
  // Gradients through some of the keys: what is attended to as a whole is more.
  const Attended all = {want.out * 0.5, want.lse + 0.7};
  const auto gradients = math_backward(grad, q, k, v, all, s.causal, 0, max_scores);
  const auto expected = flash_backward(grad, q, k, v, all, s.causal);
  for (std::size_t i = 0; i < 3; ++i) expect_close(gradients[i], expected[i], 1e-12);
}

TEST_CASE("soft-capped attention is the same a few queries at a time") {
  const at::Tensor q = noise({2, 37, 6, 16}, 1), grad = noise({2, 37, 6, 16}, 4);
  const at::Tensor k = noise({2, 37, 2, 16}, 2), v = noise({2, 37, 2, 16}, 3);
  const Attended all = math_forward(q, k, v, true, 0.8), some = math_forward(q, k, v, true, 0.8, 700);
  expect_close(some.out, all.out, 1e-12);
  expect_close(some.lse, all.lse, 1e-12);
  const auto whole = math_backward(grad, q, k, v, all, true, 0.8);
  const auto parts = math_backward(grad, q, k, v, all, true, 0.8, 700);
  for (std::size_t i = 0; i < 3; ++i) expect_close(parts[i], whole[i], 1e-12);
}
