#include "source.h"

#include <algorithm>

#include "cornstarch/base/text.h"

namespace cornstarch::config {
namespace {

int characters(std::string_view bytes) {
  return static_cast<int>(
      std::count_if(bytes.begin(), bytes.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// "a.b[1].c" -> "a.b[1]" -> "a.b" -> "a" -> "".
std::string parent_of(const std::string& path) {
  const std::size_t cut = path.find_last_of(".[");
  return cut == std::string::npos ? std::string() : path.substr(0, cut);
}

/// The number of bytes of the character that starts at `i`, or 0 if none does.
std::size_t character_length(std::string_view text, std::size_t i) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char first = byte(i);
  std::size_t length = 1;
  if (first == 0 || (first >= 0x80 && first < 0xC2) || first > 0xF4) return 0;
  if (first >= 0xF0) {
    length = 4;
  } else if (first >= 0xE0) {
    length = 3;
  } else if (first >= 0xC2) {
    length = 2;
  }
  if (i + length > text.size()) return 0;
  for (std::size_t k = i + 1; k < i + length; ++k) {
    if ((byte(k) & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

SourceText::SourceText(std::string name, std::string_view text, int first_line)
    : name_(std::move(name)), first_line_(first_line), lines_(split(text, '\n')) {
  for (std::string& line : lines_) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
  }
}

const std::string& SourceText::line(int number) const {
  static const std::string none;
  const int index = number - first_line_;
  return index < 0 || index >= static_cast<int>(lines_.size()) ? none
                                                               : lines_[static_cast<std::size_t>(index)];
}

SourceSpan span_of(const Place& place) {
  if (!place.source) return {};
  if (place.line <= 0) return {place.source->name(), 0, 0, 1, {}};
  const std::string& line = place.source->line(place.line);
  const std::size_t begin = std::min(line.size(), static_cast<std::size_t>(std::max(place.column - 1, 0)));
  const auto length = static_cast<std::size_t>(std::max(place.length, 1));
  const std::string_view view(line);
  return {place.source->name(), place.line, characters(view.substr(0, begin)) + 1,
          std::max(1, characters(view.substr(begin, length))), line};
}

bool is_text(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = character_length(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

void SourceMap::set(std::string path, const SourceSpan& span) {
  auto source = std::make_shared<const SourceText>(span.file, span.line_text, span.line);
  // Back from characters to bytes.
  std::size_t begin = 0;
  for (int skipped = 1; skipped < span.column && begin < span.line_text.size(); ++skipped) {
    do ++begin;
    while (begin < span.line_text.size() && (span.line_text[begin] & 0xC0) == 0x80);
  }
  const int column = span.column > 0 ? static_cast<int>(begin) + 1 : 0;
  set(std::move(path), Place{std::move(source), span.line, column, span.length});
}

Place SourceMap::place(const std::string& path) const {
  for (std::string where = path;; where = parent_of(where)) {
    const auto found = places_.find(where);
    if (found != places_.end()) return found->second;
    if (where.empty()) return {};
  }
}

SourceSpan SourceMap::at(const std::string& path) const { return span_of(place(path)); }

}  // namespace cornstarch::config
