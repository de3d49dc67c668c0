#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cornstarch/catalog/extents.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/plan/token_layout.h"

namespace cornstarch::plan {

/// A row of the LLM's text.
struct TextTokens {
  std::span<const std::int64_t> ids;                          ///< catalog::placeholder_id() among them
  std::int64_t length = 0;                                    ///< of ids, those before padding
  std::span<const std::vector<catalog::Extents>> items = {};  ///< [encoder][item]; none of an empty row
};

/// The rows of a microbatch of text, and the ranks that split its tokens between them.
struct TextSplit {
  std::int64_t rows = 1;
  std::int64_t length = 0;  ///< of each row, with its padding
  bool packing = false;     ///< ranks hold no padding
  int ranks = 1;
  config::Distribution distribution = config::Distribution::makespan;
  config::SpMode mode = config::SpMode::all_to_all;
};
TextSplit text_split(const Plan& plan);

/// Whether the LLM's tokens lie as plain rows: not packed, not split over ranks, each sees all that precedes
/// it in its row, and no rotary embedding asks for more than its place there.
bool lies_plain(const TextSplit& split, const catalog::Modalities& modalities);

/// Of a microbatch. `rows` are empty on ranks that do not know them: plain ones are whole then, others none.
TokenLayout text_layout(std::span<const TextTokens> rows, const TextSplit& split,
                        const catalog::Modalities& modalities);

/// Rows that are not plain, by what a layer of the LLM sees of them without a window; the others as
/// TokenLayout takes them.
TokenLayout deal(std::vector<Range> rows, AttentionPattern seen, const TextSplit& split,
                 const catalog::ModelSpec& llm, PartPositions parts = {});

}  // namespace cornstarch::plan
