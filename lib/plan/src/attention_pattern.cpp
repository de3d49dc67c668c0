#include "cornstarch/plan/attention_pattern.h"

#include <algorithm>

#include "cornstarch/catalog/token_ids.h"

namespace cornstarch::plan {
namespace {

using config::AttentionMask;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

class Builder {
 public:
  Builder(std::int64_t size, AttentionMask mask) : mask_(mask) {
    pattern_.begin.assign(at(size), 0);
    pattern_.end.assign(at(size), 0);
    pattern_.only.assign(at(size), -1);
    pattern_.kind.assign(at(size), kPadding);
  }

  /// A row, which begins at `first` of the microbatch.
  void add(const PatternRow& row, std::int64_t first) {
    Cursor cursor(row.items);
    std::int64_t begin = 0;
    for (std::size_t s = 0; s <= row.starts.size(); ++s) {
      const std::int64_t end = s < row.starts.size() ? row.starts[s] : std::ssize(row.ids);
      add(row.ids.subspan(at(begin), at(end - begin)), first + begin, cursor);
      begin = end;
    }
  }

  AttentionPattern take() { return std::move(pattern_); }

 private:
  /// Where in a row's items one is.
  class Cursor {
   public:
    explicit Cursor(const std::vector<std::vector<std::int64_t>>& items)
        : items_(items), next_(items.size(), 0), left_(items.size(), 0) {}
    /// Tokens up to the item's end, of the encoder's next token.
    std::int64_t advance(int encoder) {
      std::int64_t& left = left_.at(at(encoder));
      while (left == 0) left = items_[at(encoder)].at(next_[at(encoder)]++);
      return left--;
    }

   private:
    const std::vector<std::vector<std::int64_t>>& items_;
    std::vector<std::size_t> next_;
    std::vector<std::int64_t> left_;
  };

  /// One sample.
  void add(std::span<const std::int64_t> ids, std::int64_t first, Cursor& cursor) {
    const auto length = std::ssize(ids);
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int64_t id = ids[at(i)];
      const int kind = catalog::is_placeholder(id) ? catalog::encoder_of(id) : kText;
      const std::int64_t left = kind == kText ? 1 : cursor.advance(kind);
      set(first + i, first, kind, first + i + left, first + length);
    }
  }

  void set(std::int64_t token, std::int64_t first, int kind, std::int64_t item_end, std::int64_t sample_end) {
    const bool isolated = mask_ == AttentionMask::modality_isolated && kind != kText;
    pattern_.begin[at(token)] = first;
    pattern_.end[at(token)] = isolated ? sample_end : mask_ == AttentionMask::causal ? token + 1 : item_end;
    if (isolated) pattern_.only[at(token)] = kind;
    pattern_.kind[at(token)] = kind;
  }

  AttentionMask mask_;
  AttentionPattern pattern_;
};

/// before[j]: how many of `keys` come before token j.
std::vector<std::int64_t> prefix_counts(const std::vector<std::int64_t>& keys, std::int64_t size) {
  std::vector<std::int64_t> before(at(size + 1), 0);
  for (const std::int64_t key : keys) before[at(key + 1)] = 1;
  for (std::size_t j = 1; j < before.size(); ++j) before[j] += before[j - 1];
  return before;
}

/// Whether a query that sees `keys` goes on with the stretch that ends before it.
bool extend(Stretch& stretch, std::int64_t query, Range keys) {
  if (stretch.queries.end != query) return false;
  const std::int64_t less = keys.begin - stretch.common().begin, more = keys.end - stretch.keys.end;
  if (less < 0 || less > 1 || more < 0 || more > 1) return false;
  const bool alone = stretch.queries.size() == 1;
  if (!alone && (stretch.causal != (more == 1) || stretch.sliding != (less == 1))) return false;
  if (keys.begin >= stretch.common().end) return false;
  stretch.causal = more == 1;
  stretch.sliding = less == 1;
  stretch.queries.end = query + 1;
  stretch.keys.end = keys.end;
  return true;
}

/// The part of the queries whose `only` is this, over keys of that kind.
AttentionPart part_of(const AttentionPattern& pattern, const std::vector<std::int64_t>& queries,
                      const std::vector<std::int64_t>& keys, int only) {
  AttentionPart part;
  std::vector<std::int64_t> tokens;  // the keys that count
  if (only >= 0) {
    part.queries.emplace();
    part.keys.emplace();
    for (std::size_t k = 0; k < keys.size(); ++k) {
      if (pattern.kind[at(keys[k])] != only) continue;
      part.keys->push_back(static_cast<std::int64_t>(k));
      tokens.push_back(keys[k]);
    }
  }
  const std::vector<std::int64_t> before = prefix_counts(only >= 0 ? tokens : keys, pattern.size());
  std::int64_t place = -1;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    const std::size_t token = at(queries[q]);
    if (only < 0) place = static_cast<std::int64_t>(q);
    if (std::max(pattern.only[token], -1) != only) continue;
    const Range seen{before[at(pattern.begin[token])], before[at(pattern.end[token])]};
    if (seen.size() == 0) continue;
    if (only >= 0) {
      part.queries->push_back(static_cast<std::int64_t>(q));
      ++place;
    }
    if (part.stretches.empty() || !extend(part.stretches.back(), place, seen))
      part.stretches.push_back({{place, place + 1}, seen, false});
  }
  return part;
}

}  // namespace

AttentionPattern attention_pattern(const std::vector<PatternRow>& rows, std::int64_t row_length,
                                   AttentionMask mask) {
  Builder builder(std::ssize(rows) * row_length, mask);
  std::int64_t first = 0;
  for (const PatternRow& row : rows) {
    builder.add(row, first);
    first += row_length;
  }
  return builder.take();
}

AttentionPattern attention_pattern(std::vector<PatternRow> rows, std::int64_t row_length,
                                   const std::vector<std::int64_t>& item_rows, AttentionMask mask) {
  for (PatternRow& row : rows) {
    row.items.clear();
    for (std::size_t e = 0; e < item_rows.size(); ++e) {
      const auto tokens =
          std::count(row.ids.begin(), row.ids.end(), catalog::placeholder_id(std::int64_t(e)));
      const std::int64_t items = tokens == 0 ? 0 : (tokens - 1) / item_rows[e] + 1;
      row.items.emplace_back(at(items), item_rows[e]);
    }
  }
  return attention_pattern(rows, row_length, mask);
}

AttentionPattern item_pattern(const std::vector<std::int64_t>& item_tokens) {
  AttentionPattern pattern;
  std::int64_t first = 0;
  for (const std::int64_t tokens : item_tokens) {
    pattern.begin.insert(pattern.begin.end(), at(tokens), first);
    first += tokens;
    pattern.end.insert(pattern.end.end(), at(tokens), first);
  }
  pattern.only.assign(at(first), -1);
  pattern.kind.assign(at(first), kText);
  return pattern;
}

AttentionPattern windowed(AttentionPattern pattern, std::int64_t window) {
  std::int64_t item = 0;  // where the tokens begin that see as far ahead as this one
  for (std::int64_t i = 0; i < pattern.size(); ++i) {
    const bool isolated = pattern.only[at(i)] >= 0 || (i > 0 && pattern.only[at(i - 1)] >= 0);
    if (isolated || (i > 0 && pattern.end[at(i)] != pattern.end[at(i - 1)])) item = i;
    std::int64_t& begin = pattern.begin[at(i)];
    begin = std::min({std::max(begin, i + 1 - window), std::max(begin, item), pattern.end[at(i)]});
  }
  return pattern;
}

std::vector<std::int64_t> visible_keys(const AttentionPattern& pattern) {
  std::vector<std::int64_t> seen(at(pattern.size()));
  int last = -1;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    seen[i] = pattern.only[i] < 0 ? pattern.end[i] - pattern.begin[i] : 0;
    last = std::max(last, pattern.only[i]);
  }
  for (int only = 0; only <= last; ++only) {
    std::vector<std::int64_t> before{0};
    before.reserve(seen.size() + 1);
    for (const int kind : pattern.kind) before.push_back(before.back() + (kind == only ? 1 : 0));
    for (std::size_t i = 0; i < seen.size(); ++i)
      if (pattern.only[i] == only) seen[i] = before[at(pattern.end[i])] - before[at(pattern.begin[i])];
  }
  return seen;
}

std::vector<AttentionPart> attention_parts(const AttentionPattern& pattern,
                                           const std::vector<std::int64_t>& queries,
                                           const std::vector<std::int64_t>& keys) {
  int last = -1;
  for (const std::int64_t q : queries) last = std::max(last, pattern.only[at(q)]);
  std::vector<AttentionPart> parts;
  for (int only = -1; only <= last; ++only) {
    AttentionPart part = part_of(pattern, queries, keys, only);
    if (!part.stretches.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace cornstarch::plan
