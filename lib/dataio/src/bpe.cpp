#include "bpe.h"

#include <cstdio>
#include <queue>
#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

std::uint64_t key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

std::string hex(unsigned char byte) {
  char text[8];
  std::snprintf(text, sizeof text, "0x%02X", byte);
  return text;
}

}  // namespace

/// A merge that may still be possible: `at` and its right neighbour.
struct Bpe::Candidate {
  std::int32_t rank;
  std::int32_t at;
  std::int32_t id;
  bool operator<(const Candidate& other) const {  // the queue's top is its greatest
    return std::pair(other.rank, other.at) < std::pair(rank, at);
  }
};

Bpe::Bpe(Vocabulary vocabulary, bool ignore_merges)
    : vocabulary_(std::move(vocabulary)), ignore_merges_(ignore_merges) {
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const auto it = vocabulary_.find(std::string(1, static_cast<char>(byte)));
    byte_ids_[byte] = it == vocabulary_.end() ? -1 : it->second;
  }
}

bool Bpe::add_merge(const std::string& left, const std::string& right) {
  const auto a = vocabulary_.find(left);
  const auto b = vocabulary_.find(right);
  const auto both = vocabulary_.find(left + right);
  if (a == vocabulary_.end() || b == vocabulary_.end() || both == vocabulary_.end()) return false;
  const auto rank = static_cast<std::int32_t>(merges_.size());
  merges_.insert_or_assign(key(a->second, b->second), Merge{rank, both->second});
  return true;
}

const Bpe::Merge* Bpe::merge_of(std::int32_t left, std::int32_t right) const {
  const auto it = merges_.find(key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

Result<void> Bpe::encode(const std::string& word, std::vector<std::int64_t>& ids) const {
  if (ignore_merges_) {
    const auto it = vocabulary_.find(word);
    if (it != vocabulary_.end()) {
      ids.push_back(it->second);
      return {};
    }
  }
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  const auto size = static_cast<std::int32_t>(word.size());
  for (std::int32_t i = 0; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(word[static_cast<std::size_t>(i)]);
    if (byte_ids_[byte] < 0)
      return fail(ExitCode::bad_data, cat("the tokenizer's vocabulary has no token for byte ", hex(byte)));
    symbols.push_back({byte_ids_[byte], i - 1, i + 1 < size ? i + 1 : -1, false});
  }
  merge_all(symbols);
  for (const Symbol& symbol : symbols) {
    if (!symbol.gone) ids.push_back(symbol.id);
  }
  return {};
}

void Bpe::merge_all(std::vector<Symbol>& symbols) const {
  std::priority_queue<Candidate> queue;
  const auto symbol = [&](std::int32_t at) -> Symbol& { return symbols[static_cast<std::size_t>(at)]; };
  const auto consider = [&](std::int32_t at) {
    if (at < 0 || symbol(at).next < 0) return;
    const Merge* merge = merge_of(symbol(at).id, symbol(symbol(at).next).id);
    if (merge != nullptr) queue.push({merge->rank, at, merge->id});
  };
  for (std::int32_t at = 0; std::cmp_less(at, symbols.size()); ++at) consider(at);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbol(top.at);
    if (left.gone || left.next < 0) continue;
    Symbol& right = symbol(left.next);
    const Merge* merge = merge_of(left.id, right.id);
    if (merge == nullptr || merge->id != top.id) continue;  // one of the two has changed since
    left.id = top.id;
    left.next = right.next;
    right.gone = true;
    if (left.next >= 0) symbol(left.next).previous = top.at;
    consider(left.previous);
    consider(top.at);
  }
}

}  // namespace cornstarch::dataio
