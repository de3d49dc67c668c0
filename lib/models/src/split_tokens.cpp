#include "cornstarch/models/split_tokens.h"

namespace cornstarch::models {
namespace {

/// [n], or [3, n].
at::Tensor tensor_of(const std::vector<std::vector<std::int64_t>>& positions) {
  std::vector<std::int64_t> all;
  for (const auto& part : positions) all.insert(all.end(), part.begin(), part.end());
  const at::Tensor out = index_tensor(all);
  return positions.size() == 1 ? out : out.view({std::ssize(positions), std::ssize(positions[0])});
}

/// The row of each token of this rank, and how long all rows are.
nn::RowLengths rows_of(const plan::TokenLayout& layout, int cp) {
  std::vector<std::int64_t> rows, lengths;
  for (const std::int64_t token : layout.held(cp)) rows.push_back(layout.place(token).row);
  for (const Range& row : layout.rows()) lengths.push_back(row.size());
  return {index_tensor(rows), std::move(lengths)};
}

}  // namespace

Tokens split_tokens(const plan::TokenLayout& layout, const catalog::ModelSpec& spec,
                    const TokenSplit& split) {
  if (layout.is_plain()) return {};
  const int cp = split.group->rank();
  Tokens tokens{{}, tensor_of(layout.positions(cp)), layout.length()};
  for (const auto& [window, _] : layout.patterns())
    tokens.windowed[window] = nn::context_layout(layout, window, split.mode, split.comm, split.group);
  tokens.layout = tokens.windowed.begin()->second;
  tokens.windowed.erase(0);
  if (catalog::notices_length(spec, layout.length())) tokens.rows = rows_of(layout, cp);
  return tokens;
}

}  // namespace cornstarch::models
