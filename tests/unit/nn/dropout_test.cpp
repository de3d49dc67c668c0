#include "cornstarch/nn/dropout.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logical_xor.h>
#include <ATen/ops/tensor.h>

#include <cmath>

#include "catch.h"
#include "expect_close.h"

using namespace cornstarch;

namespace {

constexpr std::int64_t kRows = 256, kFeatures = 512;

nn::RowNames names(std::int64_t rows, std::uint32_t step = 1) {
  at::Tensor out = at::full({rows}, 0, at::kLong);
  for (std::int64_t r = 0; r < rows; ++r) out[r] = nn::row_name(r / 16, r % 16);
  return {out, step};
}

/// Which elements are left, [kRows, kFeatures] in fp64.
at::Tensor kept(const nn::Dropout& dropout, const nn::RowNames& names) {
  return nn::drop(at::full({kRows, kFeatures}, 1.0, at::kDouble), dropout, names).ne(0).to(at::kDouble);
}

}  // namespace

TEST_CASE("elements are dropped as philox4x32 says of key, step, token and feature") {
  const at::Tensor one = at::full({1, 16}, 1.0, at::kDouble);
  const nn::RowNames token{at::full({1}, nn::row_name(2, 7), at::kLong), 3};
  const at::Tensor left = nn::drop(one, {0x0123456789abcdef, 0.25, 5}, token);
  CHECK((left * 0.75)
            .equal(at::tensor({1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1}, at::kDouble).view({1, 16})));
}

TEST_CASE("a share of p is dropped, the rest divided by 1 - p, in one place independent of the next") {
  const at::Tensor x = noise({kRows, kFeatures}, 1);
  for (const double p : {0.05, 0.3, 0.9}) {
    CAPTURE(p);
    const nn::Dropout dropout{11, p};
    const at::Tensor mask = kept(dropout, names(kRows));
    expect_close(nn::drop(x, dropout, names(kRows)), x * mask / (1 - p), 1e-15);
    // Four standard deviations of so many draws.
    const double n = kRows * kFeatures, deviation = std::sqrt(p * (1 - p) / n);
    CHECK(std::abs(mask.mean().item<double>() - (1 - p)) < 4 * deviation);
    const auto correlation = [&](const at::Tensor& a, const at::Tensor& b) {
      return ((a - (1 - p)) * (b - (1 - p))).mean().item<double>() / (p * (1 - p));
    };
    const double bound = 4 / std::sqrt(n - kRows * 4);
    CHECK(std::abs(correlation(mask, kept({12, p}, names(kRows)))) < bound);
    CHECK(std::abs(correlation(mask, kept(dropout, names(kRows, 2)))) < bound);
    CHECK(std::abs(correlation(mask.narrow(0, 1, kRows - 1), mask.narrow(0, 0, kRows - 1))) < bound);
    for (const std::int64_t away : {1, 2, 3, 4})
      CHECK(std::abs(correlation(mask.narrow(1, away, kFeatures - away),
                                 mask.narrow(1, 0, kFeatures - away))) < bound);
  }
}

TEST_CASE("a part of the features or tokens is dropped as in the whole, in every type") {
  const at::Tensor x = noise({kRows, kFeatures}, 1);
  const nn::RowNames all = names(kRows);
  const at::Tensor whole = nn::drop(x, {11, 0.3}, all);
  for (const std::int64_t first : {1, 6, 8, 511})
    for (const std::int64_t size : {1, 3, 64})
      if (first + size <= kFeatures) {
        CAPTURE(first, size);
        CHECK(nn::drop(x.narrow(1, first, size), {11, 0.3, first}, all).equal(whole.narrow(1, first, size)));
      }
  const at::Tensor some = at::tensor({200, 3, 77}, at::kLong);
  CHECK(nn::drop(x.index_select(0, some), {11, 0.3}, {all.of.index_select(0, some), 1})
            .equal(whole.index_select(0, some)));
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16})
    CHECK(nn::drop(x.to(type), {11, 0.3}, all).ne(0).equal(whole.ne(0)));
  const at::Tensor in_place = x.clone();
  nn::drop(in_place, {11, 0.3}, all, in_place);
  CHECK(in_place.equal(whole));
}

TEST_CASE("nothing is dropped where no row has a name, or the share is zero") {
  CHECK(nn::drops({1, 0.5}, names(1)));
  CHECK_FALSE(nn::drops({1, 0.5}, {}));
  CHECK_FALSE(nn::drops({1, 0}, names(1)));
}
