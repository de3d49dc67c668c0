#include "answers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/any.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/masked_select.h>
#include <ATen/ops/ne.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/where.h>

#include "cornstarch/dataio/dataset.h"

namespace cornstarch::pipeline {
namespace {

at::Tensor next_labels(const at::Tensor& labels) { return labels.narrow(1, 1, labels.size(1) - 1); }

}  // namespace

std::int64_t count_targets(const at::Tensor& labels) {
  return next_labels(labels).ne(dataio::kIgnoreLabel).sum().item<std::int64_t>();
}

Answers grade(models::Stage& last, const at::Tensor& hidden, const at::Tensor& labels) {
  const at::Tensor targets = next_labels(labels);
  const at::Tensor mask = targets.ne(dataio::kIgnoreLabel);
  const at::Tensor positions = mask.flatten().nonzero().flatten();
  if (positions.numel() == 0) return {};
  const at::Tensor rows = hidden.narrow(1, 0, hidden.size(1) - 1).flatten(0, 1).index_select(0, positions);
  const at::Tensor right = last.argmax(rows).eq(targets.flatten().index_select(0, positions));
  // A sample is wrong if any of its targets is.
  at::Tensor wrong = mask.flatten().logical_and(at::full_like(mask.flatten(), false));
  wrong.index_put_({positions}, right.logical_not());
  const at::Tensor given = mask.any(1);
  const at::Tensor correct = given.logical_and(wrong.view(mask.sizes()).any(1).logical_not());
  return {given.sum().item<std::int64_t>(), correct.sum().item<std::int64_t>()};
}

}  // namespace cornstarch::pipeline
