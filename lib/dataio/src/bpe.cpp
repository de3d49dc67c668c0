#include "bpe.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <optional>
#include <queue>
#include <string>
#include <utility>

#include "cornstarch/base/text.h"
#include "unicode.h"

namespace cornstarch::dataio {
namespace {

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
         static_cast<std::uint32_t>(right);
}

}  // namespace

std::string byte_token(unsigned byte) {
  char text[8];
  std::snprintf(text, sizeof text, "<0x%02X>", byte & 0xFF);
  return text;
}

/// A merge that may still be possible: `at` and its right neighbour.
struct Bpe::Candidate {
  std::int32_t rank;
  std::int32_t at;
  std::int32_t id;
  bool operator<(const Candidate& other) const {  // the queue's top is its greatest
    return std::pair(other.rank, other.at) < std::pair(rank, at);
  }
};

Bpe::Bpe(Vocabulary vocabulary, const std::vector<Merge>& merges, Options options)
    : vocabulary_(std::move(vocabulary)), options_(options) {
  for (unsigned code = 0; code < short_.size(); ++code) short_[code] = vocabulary_.find(utf8_of(code));
  for (unsigned byte = 0; byte < bytes_.size(); ++byte) bytes_[byte] = vocabulary_.find(byte_token(byte));
  merges_.resize(std::bit_ceil(merges.size() + merges.size() / 4 + 1));
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::uint64_t pair = pair_of(merges[rank].left, merges[rank].right);
    merges_[slot_of(pair)] = {pair, static_cast<std::int32_t>(rank), merges[rank].both};
  }
}

std::size_t Bpe::slot_of(std::uint64_t pair) const {
  const std::size_t mask = merges_.size() - 1;
  const std::uint64_t mixed = pair * 0x9E3779B97F4A7C15u;
  std::size_t slot = static_cast<std::size_t>(mixed ^ mixed >> 32) & mask;
  while (merges_[slot].pair != kFree && merges_[slot].pair != pair) slot = (slot + 1) & mask;
  return slot;
}

const Bpe::Learnt* Bpe::merge_of(std::int32_t left, std::int32_t right) const {
  const Learnt& learnt = merges_[slot_of(pair_of(left, right))];
  return learnt.pair == kFree ? nullptr : &learnt;
}

std::int32_t Bpe::character(std::string_view letter) const {
  if (letter.size() <= 2) return short_[code_of(letter) & 0x7FFu];
  return vocabulary_.find(letter);
}

Result<std::vector<Bpe::Symbol>> Bpe::symbols_of(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  const auto add = [&](std::int32_t id, std::size_t begin) {
    symbols.push_back({id, -1, -1, static_cast<std::uint32_t>(begin), false});
  };
  std::optional<std::size_t> unknown;  // where it begins; it is added once it is known where it ends
  const auto end_unknown = [&] {
    if (unknown) add(options_.unknown, *unknown);
    unknown.reset();
  };
  for (std::size_t at = 0; at < word.size();) {
    const int length = std::max(1, utf8_length(word.substr(at)));
    const std::string_view letter = word.substr(at, static_cast<std::size_t>(length));
    const std::int32_t id = character(letter);
    const auto has_token = [&](char c) { return bytes_[static_cast<unsigned char>(c)] >= 0; };
    if (id >= 0) {
      end_unknown();
      add(id, at);
    } else if (options_.byte_fallback && std::all_of(letter.begin(), letter.end(), has_token)) {
      for (std::size_t i = 0; i < letter.size(); ++i)
        add(bytes_[static_cast<unsigned char>(letter[i])], at + i);
    } else if (options_.unknown < 0) {
      return fail(ExitCode::bad_data, cat("the tokenizer's vocabulary has no token for '", letter, "'"));
    } else {
      if (!options_.fuse_unknown) end_unknown();
      if (!unknown) unknown = at;
    }
    at += letter.size();
  }
  end_unknown();
  for (std::int32_t i = 0; std::cmp_less(i, symbols.size()); ++i) {
    Symbol& symbol = symbols[static_cast<std::size_t>(i)];
    symbol.previous = i - 1;
    symbol.next = std::cmp_less(i + 1, symbols.size()) ? i + 1 : -1;
  }
  return symbols;
}

Result<void> Bpe::encode(const MarkedText& word, Encoded& out) const {
  if (options_.ignore_merges) {
    const std::int32_t id = vocabulary_.find(word.text);
    if (id >= 0) {
      out.add(id, word.any());
      return {};
    }
  }
  auto symbols = symbols_of(word.text);
  if (!symbols) return tl::unexpected(symbols.error());
  merge_all(*symbols);
  for (const Symbol& symbol : *symbols) {
    if (symbol.gone) continue;
    const std::size_t end =
        symbol.next < 0 ? word.text.size() : (*symbols)[static_cast<std::size_t>(symbol.next)].begin;
    out.add(symbol.id, word.any(symbol.begin, end));
  }
  return {};
}

void Bpe::merge_all(std::vector<Symbol>& symbols) const {
  std::priority_queue<Candidate> queue;
  const auto symbol = [&](std::int32_t at) -> Symbol& { return symbols[static_cast<std::size_t>(at)]; };
  const auto consider = [&](std::int32_t at) {
    if (at < 0 || symbol(at).next < 0) return;
    const Learnt* merge = merge_of(symbol(at).id, symbol(symbol(at).next).id);
    if (merge != nullptr) queue.push({merge->rank, at, merge->both});
  };
  for (std::int32_t at = 0; std::cmp_less(at, symbols.size()); ++at) consider(at);
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbol(top.at);
    if (left.gone || left.next < 0) continue;
    Symbol& right = symbol(left.next);
    const Learnt* merge = merge_of(left.id, right.id);
    if (merge == nullptr || merge->both != top.id) continue;  // one of the two has changed since
    left.id = top.id;
    left.next = right.next;
    right.gone = true;
    if (left.next >= 0) symbol(left.next).previous = top.at;
    consider(left.previous);
    consider(top.at);
  }
}

}  // namespace cornstarch::dataio
