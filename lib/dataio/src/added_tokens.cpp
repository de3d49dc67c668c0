#include "added_tokens.h"

#include <utf8proc.h>

#include <algorithm>

namespace cornstarch::dataio {
namespace {

utf8proc_int32_t first_character(std::string_view text) {
  utf8proc_int32_t code = -1;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &code);
  return code;
}

std::size_t last_character_at(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

bool is_space(utf8proc_int32_t code) {
  if ((code >= 0x09 && code <= 0x0D) || code == 0x85) return true;
  const utf8proc_category_t category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

/// What Rust's \w takes: letters, marks, digits, connecting punctuation, joiners.
bool is_word(utf8proc_int32_t code) {
  if (code == 0x200C || code == 0x200D) return true;
  const utf8proc_category_t category = utf8proc_category(code);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME) ||
         category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_PC;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool left =
      begin == 0 || !is_word(first_character(text.substr(last_character_at(text.substr(0, begin)))));
  const bool right = end == text.size() || !is_word(first_character(text.substr(end)));
  return left && right;
}

std::size_t skip_spaces_left(std::string_view text, std::size_t begin, std::size_t limit) {
  while (begin > limit) {
    const std::size_t at = last_character_at(text.substr(0, begin));
    if (!is_space(first_character(text.substr(at)))) break;
    begin = at;
  }
  return std::max(begin, limit);
}

std::size_t skip_spaces_right(std::string_view text, std::size_t end) {
  while (end < text.size() && is_space(first_character(text.substr(end)))) {
    do ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  }
  return end;
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token, const std::string& spelling) {
  if (!spelling.empty()) patterns_.push_back({spelling, token});
}

void AddedTokenFinder::sort() {
  std::stable_sort(patterns_.begin(), patterns_.end(),
                   [](const Pattern& a, const Pattern& b) { return a.spelling < b.spelling; });
  for (std::uint32_t i = 0; i < patterns_.size(); ++i) {
    auto& [begin, end] = by_first_byte_[static_cast<unsigned char>(patterns_[i].spelling[0])];
    if (end == 0) begin = i;
    end = i + 1;
  }
}

const AddedTokenFinder::Pattern* AddedTokenFinder::longest_at(std::string_view rest) const {
  const auto [begin, end] = by_first_byte_[static_cast<unsigned char>(rest[0])];
  auto low = patterns_.begin() + begin;
  auto high = patterns_.begin() + end;
  const Pattern* longest = nullptr;
  // [low, high) begins with the first `depth` bytes of the rest; the shortest of them stands in front.
  for (std::size_t depth = 1; low != high; ++depth) {
    for (; low != high && low->spelling.size() == depth; ++low) longest = &*low;
    if (low == high || depth == rest.size()) break;
    const auto before = [depth](const Pattern& p, unsigned char c) {
      return static_cast<unsigned char>(p.spelling[depth]) < c;
    };
    const auto after = [depth](unsigned char c, const Pattern& p) {
      return c < static_cast<unsigned char>(p.spelling[depth]);
    };
    const auto byte = static_cast<unsigned char>(rest[depth]);
    low = std::lower_bound(low, high, byte, before);
    high = std::upper_bound(low, high, byte, after);
  }
  return longest;
}

std::vector<Part> AddedTokenFinder::split(const MarkedText& marked) const {
  const std::string_view text = marked.text;
  std::vector<Part> parts;
  std::size_t done = 0;
  const auto keep_text = [&](std::size_t end) {
    if (done < end) parts.push_back({-1, marked.slice(done, end), done == 0});
  };
  for (std::size_t at = 0; at < text.size();) {
    const Pattern* pattern = longest_at(text.substr(at));
    if (pattern == nullptr) {
      ++at;
      continue;
    }
    const AddedToken& token = pattern->token;
    std::size_t begin = at;
    std::size_t end = at + pattern->spelling.size();
    at = end;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip) begin = skip_spaces_left(text, begin, done);
    if (token.rstrip) end = skip_spaces_right(text, end);
    keep_text(begin);
    parts.push_back({token.id, marked.slice(begin, end), begin == 0});
    done = end;
  }
  keep_text(text.size());
  return parts;
}

}  // namespace cornstarch::dataio
