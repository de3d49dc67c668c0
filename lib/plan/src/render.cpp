#include "render.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cornstarch/base/text.h"

namespace cornstarch::plan {

namespace {

/// "model.layers.12" -> {"model.layers.", 12}; number -1 where a name does not end in one.
struct NumberedName {
  std::string stem;
  long number = -1;
};

NumberedName split_number(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos || dot + 1 == name.size() || name.size() - dot > 8) return {name, -1};
  const std::string digits = name.substr(dot + 1);
  if (digits.find_first_not_of("0123456789") != std::string::npos) return {name, -1};
  return {name.substr(0, dot + 1), std::stol(digits)};
}

std::string padding(std::size_t width, const std::string& text) {
  return std::string(width - std::min(width, text.size()), ' ');
}

}  // namespace

std::vector<std::string> compress_modules(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < names.size();) {
    const NumberedName first = split_number(names[i]);
    std::size_t end = i + 1;
    for (long last = first.number; first.number >= 0 && end < names.size(); ++end) {
      const NumberedName next = split_number(names[end]);
      if (next.stem != first.stem || next.number != ++last) break;
    }
    const long span = static_cast<long>(end - i);
    out.push_back(span == 1 ? names[i] : cat(names[i], "..", first.number + span - 1));
    i = end;
  }
  return out;
}

std::string compress_ranks(const std::vector<int>& ranks) {
  std::string out;
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1) ++end;
    if (i > 0) out += ',';
    out += end - i == 1 ? cat(ranks[i]) : cat(ranks[i], "-", ranks[end - 1]);
    i = end;
  }
  return out;
}

std::string human_count(double value) {
  char text[32];
  if (value < 999.5) {
    std::snprintf(text, sizeof text, "%.0f", value);
    return text;
  }
  const char* unit = "";
  for (const char* larger : {"K", "M", "B", "T"}) {
    unit = larger;
    value /= 1000;
    if (value < 999.5) break;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::snprintf(text, sizeof text, "%.*f%s", decimals, value, unit);
  return text;
}

std::string wrap(const std::vector<std::string>& items, std::size_t indent, std::size_t width) {
  std::string out;
  std::string line(indent, ' ');
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string item = i + 1 < items.size() ? items[i] + "," : items[i];
    const bool starts = line.size() == indent;
    if (!starts && line.size() + 1 + item.size() > width) {
      out += line + "\n";
      line.assign(indent, ' ');
    } else if (!starts) {
      line += ' ';
    }
    line += item;
  }
  return out + line + "\n";
}

std::string wrap_words(const std::string& text, std::size_t indent, std::size_t width) {
  std::string out, line;
  for (const std::string& word : split(text, ' ')) {
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      out += line + "\n";
      line = std::string(indent, ' ') + word;
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
  }
  return out + line + "\n";
}

std::vector<std::string> align_columns(const std::vector<std::vector<std::string>>& rows,
                                       const std::vector<std::size_t>& right) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const bool to_right = std::find(right.begin(), right.end(), c) != right.end();
      const std::string blank = padding(widths[c], row[c]);
      if (c > 0) line += "  ";
      line += to_right ? blank + row[c] : row[c] + blank;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace cornstarch::plan
