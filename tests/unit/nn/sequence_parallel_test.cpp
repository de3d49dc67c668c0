#include "cornstarch/nn/sequence_parallel.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>

#include "catch.h"
#include "cornstarch/base/checked.h"
#include "expect_close.h"
#include "on_ranks.h"

using namespace cornstarch;
using namespace cornstarch::nn;

TEST_CASE("shares of rows through column- and row-parallel layers equal the plain layers", "[nn]") {
  const int tp = GENERATE(1, 2, 3, 4);
  const std::int64_t rows = GENERATE(1, 2, 3, 7, 8, 12);
  CAPTURE(tp, rows);
  const at::Tensor x = noise({rows, 8}, 1), scale = noise({8}, 5), up = noise({10, 8}, 2),
                   down = noise({6, 10}, 3), weight = noise({rows, 6}, 4);
  at::Tensor x0 = leaf(x), scale0 = leaf(scale), up0 = leaf(up), down0 = leaf(down);
  const at::Tensor y0 = at::linear(at::linear(x0 * scale0, up0).tanh(), down0);
  (y0 * weight).sum().backward();

  Results results(tp);
  on_ranks(tp, [&](const comm::GroupPtr& group) {
    const Range part = share(10, tp, group->rank());
    at::Tensor x1 = leaf(x), scale1 = leaf(scale), up1 = leaf(up.narrow(0, part.begin, part.size())),
               down1 = leaf(down.narrow(1, part.begin, part.size()));
    const at::Tensor own = split_rows(x1, group) * scale1;
    const at::Tensor inner = at::linear(gather_rows(own, rows, group), up1).tanh();
    const at::Tensor y1 = scatter_rows(at::linear(inner, down1), group);
    const at::Tensor all = join_rows(y1 * 1.0, rows, group);
    (all * weight).sum().backward();
    results.set(group->rank(), {own.detach(), y1.detach(), all.detach(), x1.grad(), up1.grad(), down1.grad(),
                                scale1.grad()});
  });
  at::Tensor scale_sum = scale * 0;
  for (int r = 0; r < tp; ++r) {
    CAPTURE(r);
    const auto& got = results.values[static_cast<std::size_t>(r)];
    const Range part = share(10, tp, r), mine = share(rows, tp, r);
    expect_close(got[0], (x * scale).narrow(0, mine.begin, mine.size()), 0);
    expect_close(got[1], y0.detach().narrow(0, mine.begin, mine.size()), 1e-12);
    expect_close(got[2], y0.detach(), 1e-12);
    expect_close(got[3], x0.grad(), 1e-12);
    expect_close(got[4], up0.grad().narrow(0, part.begin, part.size()), 1e-12);
    expect_close(got[5], down0.grad().narrow(1, part.begin, part.size()), 1e-12);
    scale_sum += got[6];
  }
  // What is applied to shares gets a part of its gradient on every rank.
  expect_close(scale_sum, scale0.grad(), 1e-12);
}

TEST_CASE("a share owns its memory, and may be changed in place", "[nn]") {
  const at::Tensor x = noise({5, 4}, 1), bias = noise({4}, 2);
  Results results(2);
  on_ranks(2, [&](const comm::GroupPtr& group) {
    at::Tensor x1 = leaf(x), bias1 = leaf(bias);
    const at::Tensor mine = scatter_rows(x1 * 1.0, group).add_(bias1);
    mine.sum().backward();
    const at::Tensor split = split_rows(x, group);
    results.set(group->rank(), {mine.detach(), x1.grad(), bias1.grad(), split});
    split.zero_();
  });
  const at::Tensor untouched = noise({5, 4}, 1);
  CHECK(x.equal(untouched));
  for (int r = 0; r < 2; ++r) {
    const auto& got = results.values[static_cast<std::size_t>(r)];
    const Range mine = share(5, 2, r);
    expect_close(got[0], x.narrow(0, mine.begin, mine.size()) * 2 + bias, 1e-15);
    expect_close(got[1], at::Tensor(x * 0 + 1), 0);
    expect_close(got[2], at::Tensor(bias * 0 + mine.size()), 0);
  }
}
