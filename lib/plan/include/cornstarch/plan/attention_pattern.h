#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/config/run_config.h"

/// Which keys each token of a microbatch sees: one compact description per token, never tokens x tokens.
namespace cornstarch::plan {

inline constexpr int kText = -1;
inline constexpr int kPadding = -2;

/// Token i sees key j iff begin[i] <= j < end[i] and (only[i] < 0 or kind[j] == only[i]). Indices count over
/// the rows of a microbatch, flattened [b x t]. Padding sees nothing, and nothing sees it.
struct AttentionPattern {
  std::vector<std::int64_t> begin, end;
  std::vector<int> only;  ///< an encoder, or -1
  std::vector<int> kind;  ///< e for a token of encoder e, kText, kPadding

  std::int64_t size() const { return static_cast<std::int64_t>(kind.size()); }
};

/// A row of a microbatch: one sample, or several one behind the other.
struct PatternRow {
  std::span<const std::int64_t> ids;  ///< of real tokens, catalog::placeholder_id() among them
  std::vector<std::int64_t> starts;   ///< where the second and later samples begin, ascending
  std::vector<std::vector<std::int64_t>> items = {};  ///< [encoder][item of the row]: its tokens
};

/// The pattern of rows that are padded to `row_length`.
///   causal             every token sees itself and what precedes it in its sample
///   image_bidirectional  the tokens of one item also see each other both ways (Gemma 3, PaliGemma)
///   modality_isolated  text is causal over everything; an encoder's tokens see those of their own encoder in
///                      their sample, both ways, and nothing else (Cornstarch)
AttentionPattern attention_pattern(const std::vector<PatternRow>& rows, std::int64_t row_length,
                                   config::AttentionMask mask);

/// The same where all items of encoder e have item_rows[e] tokens, whatever the rows say.
AttentionPattern attention_pattern(std::vector<PatternRow> rows, std::int64_t row_length,
                                   const std::vector<std::int64_t>& item_rows, config::AttentionMask mask);

/// An encoder's: items of so many tokens, each token seeing all of its item.
AttentionPattern item_pattern(const std::vector<std::int64_t>& item_tokens);

/// The same where no token sees further back than `window` tokens, itself among them; but what sees each
/// other both ways (image_bidirectional's items) still sees all of itself, as in transformers.
AttentionPattern windowed(AttentionPattern pattern, std::int64_t window);

/// How many keys each token sees.
std::vector<std::int64_t> visible_keys(const AttentionPattern& pattern);

/// Consecutive queries that see the same keys, but for two triangles: if `causal`, the last one sees the end
/// and each query before it one key less there; if `sliding`, the first one sees the beginning and each query
/// behind it one key less there. There are keys that all of them see.
struct Stretch {
  Range queries;
  Range keys;
  bool causal = false;
  bool sliding = false;

  /// What all of them see.
  Range common() const {
    const std::int64_t edge = queries.size() - 1;
    return {keys.begin + (sliding ? edge : 0), keys.end - (causal ? edge : 0)};
  }
  bool operator==(const Stretch&) const = default;
};

/// Attention between some tokens as queries and some as keys, without masks: `stretches` count over the
/// places in `queries` and `keys`, which are places in the lists given to attention_parts().
struct AttentionPart {
  std::optional<std::vector<std::int64_t>> queries;  ///< absent: all of them
  std::optional<std::vector<std::int64_t>> keys;
  std::vector<Stretch> stretches;
};

/// What of the pattern falls on `queries` x `keys`, which are ascending lists of tokens. No query is in two
/// parts or two stretches; those in none see no key.
std::vector<AttentionPart> attention_parts(const AttentionPattern& pattern,
                                           const std::vector<std::int64_t>& queries,
                                           const std::vector<std::int64_t>& keys);

}  // namespace cornstarch::plan
