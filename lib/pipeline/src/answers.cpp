#include "answers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace cornstarch::pipeline {

Answers grade(models::Stage& last, const at::Tensor& hidden, const models::Text& text) {
  if (text.num_targets() == 0) return {};
  const at::Tensor rows = hidden.flatten(0, 1).index_select(0, text.target_rows);
  const at::Tensor right = last.argmax(rows).eq(text.targets);
  // Per sample: its targets, and those that the model got right.
  const at::Tensor given = at::zeros({text.ids.size(0)}, rows.options().dtype(at::kLong));
  const at::Tensor correct = at::zeros_like(given);
  given.index_add_(0, text.target_samples, at::ones_like(text.targets));
  correct.index_add_(0, text.target_samples, right.to(at::kLong));
  const at::Tensor answered = given > 0;
  return {answered.sum().item<std::int64_t>(),
          answered.logical_and(correct == given).sum().item<std::int64_t>()};
}

}  // namespace cornstarch::pipeline
