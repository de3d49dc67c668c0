#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cornstarch/catalog/extents.h"

namespace cornstarch::plan {

/// In time, downwards and across, each of as many tokens.
using PartPositions = std::array<std::vector<std::int64_t>, 3>;

/// Where the tokens of a sample stand for a rotary embedding whose positions have three parts (M-RoPE; Wang
/// et al., "Qwen2-VL", 2024), as transformers' get_rope_index has it: text counts on in all three; an item
/// counts from there by its grid, and what follows it goes on behind the longer of its sides. `ids` are of
/// real tokens, catalog::placeholder_id() among them. `grids`: [encoder][item]; features of an encoder that
/// lists none count as text.
PartPositions rope_positions(std::span<const std::int64_t> ids,
                             const std::vector<std::vector<catalog::Extents>>& grids);

}  // namespace cornstarch::plan
