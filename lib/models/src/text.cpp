#include "cornstarch/models/text.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::models {
namespace {

constexpr std::int64_t kIgnored = -100;  // a label without a target

at::Tensor indices(const std::vector<std::int64_t>& values) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<std::int64_t>());
  return out;
}

}  // namespace

Text make_text(const at::Tensor& ids, const at::Tensor& labels, std::size_t encoders, std::int64_t vocab) {
  const std::int64_t length = ids.size(1), rows = ids.numel();
  const std::int64_t* id = ids.const_data_ptr<std::int64_t>();
  const std::int64_t* label = labels.const_data_ptr<std::int64_t>();
  std::vector<std::vector<std::int64_t>> placeholders(encoders);
  std::vector<std::int64_t> target_rows, targets, samples;
  for (std::int64_t i = 0; i < rows; ++i) {
    if (id[i] < 0) {
      const auto encoder = static_cast<std::size_t>(-1 - id[i]);
      if (encoder >= encoders)
        throw Failure(ExitCode::internal, cat("placeholder ", id[i], " for ", encoders, " encoders"));
      placeholders[encoder].push_back(i);
    }
    if (std::max(id[i], label[i]) >= vocab)
      throw Failure(ExitCode::internal,
                    cat("token id ", std::max(id[i], label[i]), " is outside of the vocabulary of ", vocab));
    if ((i + 1) % length == 0 || label[i + 1] == kIgnored) continue;
    target_rows.push_back(i);
    targets.push_back(label[i + 1]);
    samples.push_back(i / length);
  }
  Text text{ids, {}, indices(target_rows), indices(targets), indices(samples)};
  for (const auto& of_encoder : placeholders) text.placeholders.push_back(indices(of_encoder));
  return text;
}

}  // namespace cornstarch::models
