#include "cornstarch/nn/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>

#include "catch.h"
#include "cornstarch/base/checked.h"
#include "cornstarch/base/result.h"
#include "expect_close.h"
#include "memory_meter.h"
#include "on_ranks.h"

using namespace cornstarch;
using nn::linear_cross_entropy;

namespace {

constexpr int kHidden = 6;

struct Problem {
  Problem(std::int64_t rows, std::int64_t vocab)
      : hidden(noise({rows, kHidden}, 1)),
        table(noise({vocab, kHidden}, 2) *
              30),  // exp of the logits overflows fp32 unless the maximum is taken off
        targets((at::arange(rows, at::kLong) * 7919).remainder(vocab)) {}
  at::Tensor hidden, table, targets;
};

at::Tensor plain(const at::Tensor& hidden, const at::Tensor& table, const at::Tensor& targets,
                 double softcap = 0) {
  const at::Tensor logits = at::linear(hidden, table);
  const at::Tensor capped = softcap > 0 ? (logits / softcap).tanh() * softcap : logits;
  return at::cross_entropy_loss(capped, targets, {}, /*sum*/ 2);
}

}  // namespace

TEST_CASE("the cross-entropy of a linear layer equals the plain one, over tp, in chunks of any size",
          "[nn]") {
  const int tp = GENERATE(1, 2, 3, 4);
  const std::int64_t vocab = GENERATE(2, 13, 40000);
  const std::int64_t rows_per_chunk = GENERATE(1, 4, 9, 100);
  const double softcap = GENERATE(0.0, 25.0);
  CAPTURE(tp, vocab, rows_per_chunk, softcap);
  const Problem p(9, vocab);
  at::Tensor hidden0 = leaf(p.hidden), table0 = leaf(p.table);
  const at::Tensor loss0 = plain(hidden0, table0, p.targets, softcap);
  (loss0 * 0.7).backward();

  const std::int64_t chunk_bytes = rows_per_chunk * ((vocab + tp - 1) / tp) * 8;
  Results results(tp);
  on_ranks(tp, [&](const comm::GroupPtr& group) {
    const Range part = share(vocab, tp, group->rank());
    at::Tensor hidden = leaf(p.hidden), weight = leaf(p.table.narrow(0, part.begin, part.size()));
    const at::Tensor loss = linear_cross_entropy(hidden * 1.0, {weight}, p.targets, part.begin, vocab, group,
                                                 chunk_bytes, softcap);
    (loss * 0.7).backward();
    results.set(group->rank(), {loss.detach(), hidden.grad(), weight.grad()});
  });
  for (int r = 0; r < tp; ++r) {
    const auto& got = results.values[static_cast<std::size_t>(r)];
    const Range part = share(vocab, tp, r);
    CHECK(got[0].equal(results.values[0][0]));
    CHECK(got[1].equal(results.values[0][1]));
    expect_close(got[0], loss0.detach(), 1e-12);
    expect_close(got[1], hidden0.grad(), 1e-12);
    expect_close(got[2], table0.grad().narrow(0, part.begin, part.size()), 1e-12);
  }
}

TEST_CASE("the cross-entropy computes only the gradients that somebody needs", "[nn]") {
  const bool trains_hidden = GENERATE(true, false), trains_table = GENERATE(true, false);
  const Problem p(5, 11);
  at::Tensor hidden = leaf(p.hidden), table = leaf(p.table);
  const at::Tensor expected = plain(hidden, table, p.targets);
  expected.backward();
  const comm::GroupPtr one = comm::alone()->world();
  at::Tensor h = p.hidden.clone().set_requires_grad(trains_hidden);
  at::Tensor w = p.table.clone().set_requires_grad(trains_table);
  const at::Tensor loss = linear_cross_entropy(h, {w}, p.targets, 0, 11, one);
  expect_close(loss.detach(), expected.detach(), 1e-12);
  REQUIRE(loss.requires_grad() == (trains_hidden || trains_table));
  if (loss.requires_grad()) loss.backward();
  CHECK(h.grad().defined() == trains_hidden);
  CHECK(w.grad().defined() == trains_table);
  if (trains_hidden) expect_close(h.grad(), hidden.grad(), 1e-12);
  if (trains_table) expect_close(w.grad(), table.grad(), 1e-12);
  const at::NoGradGuard no_grad;
  CHECK_FALSE(linear_cross_entropy(h, {w}, p.targets, 0, 11, one).requires_grad());
}

TEST_CASE("the cross-entropy never holds more logits than a chunk's", "[nn]") {
  constexpr std::int64_t rows = 64, vocab = 4096, all_logits = rows * vocab * 8;
  constexpr std::int64_t table = vocab * kHidden * 8, rest = 32 << 10;
  const Problem p(rows, vocab);
  const double softcap = GENERATE(0.0, 25.0);  // whose derivative is held beside the logits
  const auto peak = [&](std::int64_t chunk_bytes) {
    at::Tensor hidden = leaf(p.hidden), weight = leaf(p.table);
    const test::MemoryMeter meter;
    linear_cross_entropy(hidden, {weight}, p.targets, 0, vocab, comm::alone()->world(), chunk_bytes, softcap)
        .backward();
    return meter.peak();
  };
  CHECK(peak(all_logits) >= all_logits);
  CHECK(peak(all_logits / 8) <= all_logits / 8 + table + rest);
}

TEST_CASE("the cross-entropy of half-precision states has fp32 statistics and sums", "[nn]") {
  const Problem p(64, 50);
  const at::Tensor hidden = p.hidden.to(at::kBFloat16), table = (p.table / 30).to(at::kBFloat16);
  at::Tensor hidden0 = leaf(hidden.to(at::kDouble)), table0 = leaf(table.to(at::kDouble));
  // The logits are rounded to bf16 as the product leaves them; what follows is not.
  const at::Tensor logits = at::linear(hidden, table).to(at::kDouble);
  const at::Tensor exact = at::cross_entropy_loss(logits, p.targets, {}, 2);
  plain(hidden0, table0, p.targets).backward();
  const std::int64_t rows_of_chunk = GENERATE(3, 64);
  at::Tensor h = leaf(hidden), w = leaf(table);
  const at::Tensor loss =
      linear_cross_entropy(h, {w}, p.targets, 0, 50, comm::alone()->world(), rows_of_chunk * 50 * 4);
  CHECK(loss.scalar_type() == at::kFloat);
  CHECK(loss.item<double>() == Approx(exact.item<double>()).epsilon(1e-6));
  loss.backward();
  CHECK(h.grad().scalar_type() == at::kBFloat16);
  CHECK(w.grad().scalar_type() == at::kBFloat16);
  expect_close(h.grad(), hidden0.grad(), 2e-2);
  expect_close(w.grad(), table0.grad(), 1e-2);
}

TEST_CASE("a second backward through the cross-entropy is refused", "[nn]") {
  const Problem p(2, 3);
  at::Tensor hidden = leaf(p.hidden);
  const at::Tensor loss = linear_cross_entropy(hidden, {p.table}, p.targets, 0, 3, comm::alone()->world());
  loss.backward();
  CHECK_THROWS_WITH(loss.backward(), "LinearCrossEntropy: backward ran a second time");
}
