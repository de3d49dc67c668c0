#include "cornstarch/plan/mixes.h"

#include <algorithm>

#include "cornstarch/base/random.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/token_ids.h"
#include "cornstarch/plan/text_layout.h"

namespace cornstarch::plan {
namespace {

using Ids = std::vector<std::int64_t>;

constexpr std::int64_t kTextId = 0;
constexpr std::int64_t kShortest = 64, kLongest = 4096;

/// Rows of an item where each has its own: a picture of 448 x 448 pixels in Qwen2-VL, say.
constexpr std::int64_t kTypicalRows = 256;

void append(Ids& ids, std::int64_t count, std::int64_t id) {
  ids.insert(ids.end(), static_cast<std::size_t>(std::max<std::int64_t>(count, 0)), id);
}

AttentionPattern pattern_of(const Ids& ids, std::vector<std::int64_t> starts,
                            const std::vector<std::int64_t>& item_rows, config::AttentionMask mask) {
  return attention_pattern({{ids, std::move(starts)}}, static_cast<std::int64_t>(ids.size()), item_rows,
                           mask);
}

Ids half_items(std::int64_t tokens, std::int64_t rows) {
  Ids ids;
  while (static_cast<std::int64_t>(ids.size()) + 2 * rows <= tokens) {
    append(ids, rows, catalog::placeholder_id(0));
    append(ids, rows, kTextId);
  }
  append(ids, tokens - static_cast<std::int64_t>(ids.size()), kTextId);
  return ids;
}

struct Packed {
  Ids ids;
  std::vector<std::int64_t> starts;
};

Packed packed_samples(std::int64_t tokens, const std::vector<std::int64_t>& item_rows) {
  const Philox draws(0, "packed samples");
  Packed row;
  for (std::uint64_t draw = 0; static_cast<std::int64_t>(row.ids.size()) < tokens; draw += 2) {
    const auto begin = static_cast<std::int64_t>(row.ids.size());
    if (begin > 0) row.starts.push_back(begin);
    const auto wanted = kShortest + static_cast<std::int64_t>(draws.uniform(draw) * (kLongest - kShortest));
    const std::int64_t length = std::min(wanted, tokens - begin);
    const auto which =
        static_cast<std::size_t>(draws.uniform(draw + 1) * static_cast<double>(item_rows.size() + 1));
    if (which < item_rows.size() && item_rows[which] < length)
      append(row.ids, item_rows[which], catalog::placeholder_id(static_cast<std::int64_t>(which)));
    append(row.ids, begin + length - static_cast<std::int64_t>(row.ids.size()), kTextId);
  }
  return row;
}

}  // namespace

std::vector<Mix> typical_mixes(std::int64_t tokens, const std::vector<std::int64_t>& item_rows,
                               config::AttentionMask mask) {
  std::vector<Mix> mixes;
  mixes.push_back({"text", pattern_of(Ids(static_cast<std::size_t>(tokens), kTextId), {}, item_rows, mask)});
  if (!item_rows.empty() && item_rows.front() > 0)
    mixes.push_back(
        {"half pictures", pattern_of(half_items(tokens, item_rows.front()), {}, item_rows, mask)});
  Packed packed = packed_samples(tokens, item_rows);
  mixes.push_back({"packed samples", pattern_of(packed.ids, std::move(packed.starts), item_rows, mask)});
  return mixes;
}

std::vector<MixBalance> llm_balance(const Plan& plan, const catalog::Modalities& modalities) {
  const ModalityPlan& where = plan.llm();
  if (where.sp == 1) return {};
  const catalog::Modality& llm = modalities.back();
  std::vector<std::int64_t> item_rows;
  for (std::size_t e = 0; e + 1 < modalities.size(); ++e) {
    const auto item = catalog::fixed_extents(modalities[e].spec);
    item_rows.push_back(item ? catalog::features_of(modalities[e], *item) : kTypicalRows);
  }
  std::vector<MixBalance> out;
  for (Mix& mix : typical_mixes(plan.sequence_length, item_rows, llm.attention_mask)) {
    const TokenLayout laid =
        deal({{0, plan.sequence_length}}, std::move(mix.pattern), text_split(plan), llm.spec);
    const auto how = where.mode == config::SpMode::ring ? ring_balance : balance;
    out.push_back({std::move(mix.name), how(laid.pattern(), laid.shares())});
  }
  return out;
}

}  // namespace cornstarch::plan
