#include "cornstarch/nn/tensor_parallel.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>

#include "catch.h"
#include "cornstarch/base/result.h"
#include "cornstarch/nn/layers.h"
#include "expect_close.h"
#include "on_ranks.h"

using namespace cornstarch;
using namespace cornstarch::nn;

TEST_CASE("a column-parallel layer into a row-parallel one equals the plain layers", "[nn]") {
  const int tp = GENERATE(1, 2, 3, 4);
  CAPTURE(tp);
  const at::Tensor x = noise({5, 8}, 1), up = noise({10, 8}, 2), down = noise({6, 10}, 3),
                   weight = noise({5, 6}, 4);
  at::Tensor x0 = leaf(x), up0 = leaf(up), down0 = leaf(down);
  const at::Tensor y0 = at::linear(at::linear(x0, up0).tanh(), down0);
  (y0 * weight).sum().backward();

  Results results(tp);
  on_ranks(tp, [&](const comm::GroupPtr& group) {
    const Range part = share(10, tp, group->rank());
    at::Tensor x1 = leaf(x), up1 = leaf(up.narrow(0, part.begin, part.size())),
               down1 = leaf(down.narrow(1, part.begin, part.size()));
    const at::Tensor y1 =
        reduce_from_tp(at::linear(at::linear(copy_to_tp(x1, group), up1).tanh(), down1), group);
    (y1 * weight).sum().backward();
    results.set(group->rank(), {y1.detach(), x1.grad(), up1.grad(), down1.grad()});
  });
  for (int r = 0; r < tp; ++r) {
    const auto& got = results.values[static_cast<std::size_t>(r)];
    const Range part = share(10, tp, r);
    expect_close(got[0], y0.detach(), 1e-12);
    expect_close(got[1], x0.grad(), 1e-12);
    expect_close(got[2], up0.grad().narrow(0, part.begin, part.size()), 1e-12);
    expect_close(got[3], down0.grad().narrow(1, part.begin, part.size()), 1e-12);
  }
}

TEST_CASE("a norm over columns of all ranks equals the norm of whole rows", "[nn]") {
  const int tp = GENERATE(1, 2, 3);
  const at::ScalarType type = GENERATE(at::kDouble, at::kBFloat16);
  const double offset = GENERATE(0, 1), tolerance = type == at::kDouble ? 1e-12 : 2e-2;
  CAPTURE(tp, type, offset);
  const at::Tensor x = noise({2, 5, 8}, 1).to(type), w = noise({8}, 2).to(type),
                   grad = noise({2, 5, 8}, 3).to(type);
  at::Tensor x0 = leaf(x), w0 = leaf(w);
  const at::Tensor y0 = rms_norm(x0, w0, 1e-3, offset);
  y0.backward(grad);

  Results results(tp);
  on_ranks(tp, [&](const comm::GroupPtr& group) {
    const Range part = share(8, tp, group->rank());
    const auto own = [&](const at::Tensor& all) {
      return all.narrow(-1, part.begin, part.size()).contiguous();
    };
    at::Tensor x1 = leaf(own(x)), w1 = leaf(own(w)), frozen = leaf(own(x)), fixed = own(w);
    const at::Tensor y1 = split_rms_norm(x1, w1, 1e-3, offset, 8, group);
    y1.backward(own(grad));
    split_rms_norm(frozen, fixed, 1e-3, offset, 8, group).backward(own(grad));
    results.set(group->rank(), {y1.detach(), x1.grad(), w1.grad(), frozen.grad()});
  });
  for (int r = 0; r < tp; ++r) {
    const auto& got = results.values[static_cast<std::size_t>(r)];
    const Range part = share(8, tp, r);
    const auto own = [&](const at::Tensor& all) { return all.narrow(-1, part.begin, part.size()); };
    expect_close(got[0], own(y0.detach()), tolerance);
    expect_close(got[1], own(x0.grad()), tolerance);
    expect_close(got[2], own(w0.grad()), tolerance);
    CHECK(got[3].equal(got[1]));
  }
}

TEST_CASE("copy_to_tp leaves a gradient that a residual branch shares alone", "[nn]") {
  const at::Tensor x = noise({3, 4}, 1);
  Results results(2);
  on_ranks(2, [&](const comm::GroupPtr& group) {
    at::Tensor x1 = leaf(x);
    const at::Tensor h = x1 * 1.0;
    (h + copy_to_tp(h, group)).sum().backward();
    results.set(group->rank(), {x1.grad()});
  });
  for (const auto& got : results.values) expect_close(got[0], at::ones_like(x) * 3, 0);
}

TEST_CASE("in a group of one, and without gradients, nothing is copied or communicated", "[nn]") {
  const at::Tensor x = noise({3, 4}, 1);
  const comm::GroupPtr one = comm::alone()->world();
  CHECK(copy_to_tp(x, one).is_same(x));
  CHECK(reduce_from_tp(x, one).is_same(x));
  CHECK(split_to_tp(x, 1, {0, 4}, one).is_same(x));
  CHECK(gather_from_tp(x, 1, {0, 4}, 4, one).is_same(x));

  std::vector<long long> collectives(2);
  comm::run_threads(2, {}, [&](const comm::CommunicatorPtr& c) {
    const comm::GroupPtr group = c->world();
    const at::Tensor frozen = copy_to_tp(x, group);
    at::Tensor trained = leaf(x);
    const at::NoGradGuard no_grad;
    copy_to_tp(trained, group);
    collectives[static_cast<std::size_t>(c->rank())] = c->traffic().collectives;
  });
  CHECK(collectives == std::vector<long long>{0, 0});
}

TEST_CASE("split and gather are each other's mirror", "[nn]") {
  const int tp = GENERATE(1, 2, 3, 4);
  const at::Tensor x = noise({2, 7, 3}, 1), weight = noise({2, 7, 3}, 2);
  Results results(tp);
  on_ranks(tp, [&](const comm::GroupPtr& group) {
    const Range part = share(7, tp, group->rank());
    at::Tensor x1 = leaf(x);
    const at::Tensor mine = split_to_tp(x1, 1, part, group);
    const at::Tensor all = gather_from_tp(mine * 2, 1, part, 7, group);
    (all * weight).sum().backward();
    results.set(group->rank(), {mine.detach(), all.detach(), x1.grad()});
  });
  for (int r = 0; r < tp; ++r) {
    const auto& got = results.values[static_cast<std::size_t>(r)];
    const Range part = share(7, tp, r);
    expect_close(got[0], x.narrow(1, part.begin, part.size()), 0);
    expect_close(got[1], x * 2, 0);
    expect_close(got[2], weight * 2, 0);
  }
}

TEST_CASE("the vocabulary-parallel embedding equals the plain one, with zeros for placeholders", "[nn]") {
  const int tp = GENERATE(1, 2, 3, 4);
  const std::int64_t padding = GENERATE(-1, 5);
  CAPTURE(tp, padding);
  const at::Tensor table = noise({11, 4}, 1), weight = noise({2, 4, 4}, 2);
  const at::Tensor ids = at::tensor({0, 10, 3, -1, 5, 5, -2, 7}, at::kLong).view({2, 4});
  at::Tensor table0 = leaf(table);
  const at::Tensor keep = (ids >= 0).unsqueeze(-1).to(at::kDouble);
  const at::Tensor y0 = at::embedding(table0, ids.clamp_min(0), padding) * keep;
  (y0 * weight).sum().backward();

  Results results(tp);
  on_ranks(tp, [&](const comm::GroupPtr& group) {
    const Range part = share(11, tp, group->rank());
    at::Tensor table1 = leaf(table.narrow(0, part.begin, part.size()));
    const at::Tensor y1 = vocab_parallel_embedding(ids, table1, part.begin, padding, group);
    (y1 * weight).sum().backward();
    results.set(group->rank(), {y1.detach(), table1.grad()});
  });
  for (int r = 0; r < tp; ++r) {
    const Range part = share(11, tp, r);
    expect_close(results.values[static_cast<std::size_t>(r)][0], y0.detach(), 1e-15);
    expect_close(results.values[static_cast<std::size_t>(r)][1],
                 table0.grad().narrow(0, part.begin, part.size()), 1e-14);
  }
}

TEST_CASE("the vocabulary-parallel argmax takes the first of equals", "[nn]") {
  const int tp = GENERATE(1, 2, 3, 4);
  at::Tensor logits = noise({6, 13}, 3);
  logits[2].fill_(1.5);
  logits[3][4] = 9;
  logits[3][12] = 9;
  const at::Tensor expected = at::argmax(logits, 1);
  Results results(tp);
  on_ranks(tp, [&](const comm::GroupPtr& group) {
    const Range part = share(13, tp, group->rank());
    results.set(group->rank(),
                {vocab_parallel_argmax(logits.narrow(1, part.begin, part.size()), part.begin, group)});
  });
  for (const auto& got : results.values) CHECK(got[0].equal(expected));
  CHECK(expected[2].item<long>() == 0);
  CHECK(expected[3].item<long>() == 4);
}
