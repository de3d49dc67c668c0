#include "answers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/eq.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

namespace cornstarch::pipeline {

Answers grade(models::Stage& last, const at::Tensor& hidden, const models::Text& text, comm::Group& sp) {
  if (!text.learns) return {};
  const at::Tensor rows = hidden.flatten(0, 1).index_select(0, text.target_rows);
  const at::Tensor ids = last.argmax(rows), right = ids.eq(text.targets);
  // Per sample: its targets, those that the model got right, and what it says there.
  const at::Tensor counts = at::zeros({3, text.samples}, rows.options().dtype(at::kDouble));
  at::Tensor given = counts[0], correct = counts[1], said = counts[2];
  given.index_add_(0, text.target_samples, at::ones_like(text.targets, at::kDouble));
  correct.index_add_(0, text.target_samples, right.to(at::kDouble));
  said.index_add_(0, text.target_samples, ids.to(at::kDouble));
  sp.all_reduce(counts);
  const at::Tensor answered = given > 0;
  return {answered.sum().item<std::int64_t>(),
          answered.logical_and(correct == given).sum().item<std::int64_t>(), said};
}

}  // namespace cornstarch::pipeline
