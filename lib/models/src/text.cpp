#include "cornstarch/models/text.h"

#include <ATen/ops/index_select.h>

#include <algorithm>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/token_ids.h"
#include "cornstarch/models/tokens.h"

namespace cornstarch::models {
Text make_text(const at::Tensor& ids, const at::Tensor& labels, std::size_t encoders, std::int64_t vocab) {
  const std::int64_t length = ids.size(1), rows = ids.numel();
  const std::int64_t* id = ids.const_data_ptr<std::int64_t>();
  const std::int64_t* label = labels.const_data_ptr<std::int64_t>();
  std::vector<std::vector<std::int64_t>> placeholders(encoders);
  std::vector<std::int64_t> target_rows, targets, samples;
  for (std::int64_t i = 0; i < rows; ++i) {
    if (catalog::is_placeholder(id[i])) {
      const auto encoder = static_cast<std::size_t>(catalog::encoder_of(id[i]));
      if (encoder >= encoders)
        throw Failure(ExitCode::internal, cat("placeholder ", id[i], " for ", encoders, " encoders"));
      placeholders[encoder].push_back(i);
    }
    if (std::max(id[i], label[i]) >= vocab)
      throw Failure(ExitCode::internal,
                    cat("token id ", std::max(id[i], label[i]), " is outside of the vocabulary of ", vocab));
    if ((i + 1) % length == 0 || label[i + 1] == catalog::kIgnoreLabel) continue;
    target_rows.push_back(i);
    targets.push_back(label[i + 1]);
    samples.push_back(i / length);
  }
  Text text{ids,
            {},
            index_tensor(target_rows),
            index_tensor(targets),
            index_tensor(samples),
            ids.size(0),
            !targets.empty()};
  for (const auto& of_encoder : placeholders) text.placeholders.push_back(index_tensor(of_encoder));
  return text;
}

Text take_tokens(const Text& whole, const std::vector<std::int64_t>& tokens) {
  std::vector<std::int64_t> place(static_cast<std::size_t>(whole.ids.numel()), -1);  // in the list of tokens
  for (std::size_t i = 0; i < tokens.size(); ++i)
    place[static_cast<std::size_t>(tokens[i])] = static_cast<std::int64_t>(i);
  const auto place_of = [&](std::int64_t row) { return place[static_cast<std::size_t>(row)]; };
  Text out = whole;
  out.ids = whole.ids.flatten().index_select(0, index_tensor(tokens)).unsqueeze(0);
  for (at::Tensor& rows : out.placeholders) {
    rows = rows.clone();
    std::int64_t* row = rows.data_ptr<std::int64_t>();
    std::transform(row, row + rows.numel(), row, place_of);
  }
  std::vector<std::int64_t> kept, rows;  // targets whose hidden state is here
  const std::int64_t* row = whole.target_rows.const_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < whole.num_targets(); ++i) {
    if (place_of(row[i]) < 0) continue;
    kept.push_back(i);
    rows.push_back(place_of(row[i]));
  }
  out.target_rows = index_tensor(rows);
  out.targets = whole.targets.index_select(0, index_tensor(kept));
  out.target_samples = whole.target_samples.index_select(0, index_tensor(kept));
  return out;
}

}  // namespace cornstarch::models
