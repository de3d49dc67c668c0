#pragma once

#include <cstdint>

/// What stands in a row's ids and labels beside the ids of a vocabulary.
namespace cornstarch::catalog {

/// The label of what nothing is to be learnt from, as transformers has it.
inline constexpr std::int64_t kIgnoreLabel = -100;

/// The id that holds the place of each feature row of an encoder; those of vocabularies are not negative.
constexpr std::int64_t placeholder_id(std::int64_t encoder) { return -1 - encoder; }
constexpr bool is_placeholder(std::int64_t id) { return id < 0; }
/// The encoder whose features go to where this placeholder stands.
constexpr int encoder_of(std::int64_t placeholder) { return static_cast<int>(-1 - placeholder); }

}  // namespace cornstarch::catalog
