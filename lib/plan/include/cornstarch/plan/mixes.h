#pragma once

#include <string>
#include <vector>

#include "cornstarch/plan/attention_pattern.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::plan {

/// A row of typical content, to show on how evenly a distribution deals the attention's work.
struct Mix {
  std::string name;
  AttentionPattern pattern;
};

/// Rows of `tokens` tokens under a mask, where encoder e's items have item_rows[e] tokens:
///   "text"             one sample of text
///   "half pictures"    (with encoders) one sample: an item of the first, as much text, an item, ...
///   "packed samples"   samples of 64 to 4096 tokens, none of which sees another, each with an item of one of
///   the encoders
///                      or of none (drawn from a fixed seed)
std::vector<Mix> typical_mixes(std::int64_t tokens, const std::vector<std::int64_t>& item_rows,
                               config::AttentionMask mask);

/// How evenly the LLM's context-parallel ranks of a run share the attention's work, for each typical mix in a
/// row of the run's length: balance(), or for a ring ring_balance(). Empty without context parallelism.
struct MixBalance {
  std::string mix;
  double heaviest_over_mean = 1;
};
std::vector<MixBalance> llm_balance(const Plan& plan, const catalog::Modalities& modalities);

}  // namespace cornstarch::plan
