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
  const Attended got = math_forward(q, k, v, s.causal, max_scores);
  const Attended want = flash_forward(q, k, v, s.causal);
  expect_close(got.out, want.out, 1e-12);
  expect_close(got.lse, want.lse, 1e-12);
  // Gradients through some of the keys: what is attended to as a whole is more.
  const Attended all = {want.out * 0.5, want.lse + 0.7};
  const auto gradients = math_backward(grad, q, k, v, all, s.causal, max_scores);
  const auto expected = flash_backward(grad, q, k, v, all, s.causal);
  for (std::size_t i = 0; i < 3; ++i) expect_close(gradients[i], expected[i], 1e-12);
}
