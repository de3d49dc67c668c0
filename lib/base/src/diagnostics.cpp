#include "cornstarch/base/diagnostics.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"

namespace cornstarch {
namespace {

constexpr std::size_t kShownLine = 160;  // characters of a source line; longer ones are shown in part

const char* name_of(Severity severity) { return severity == Severity::error ? "error" : "warning"; }

auto position(const Diagnostic& d) {
  return std::tie(d.where.file, d.where.line, d.where.column, d.severity, d.message, d.code, d.help);
}

/// The characters (UTF-8 code points) of a line; control characters, which a terminal might obey, become '?'.
std::vector<std::string> characters(const std::string& line) {
  std::vector<std::string> out;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0) == 0x80 && !out.empty()) {
      out.back() += c;
    } else if ((byte < 0x20 && c != '\t') || byte == 0x7F) {
      out.emplace_back("?");
    } else {
      out.emplace_back(1, c);
    }
  }
  return out;
}

/// The source line and the caret under it, or nothing if the place has no line.
void render_source(const SourceSpan& where, std::string& out) {
  if (where.line <= 0 || where.column <= 0 || where.line_text.empty()) return;
  const std::vector<std::string> line = characters(where.line_text);
  const auto column = static_cast<std::size_t>(where.column - 1);
  const std::size_t begin = line.size() > kShownLine && column > kShownLine / 2 ? column - kShownLine / 2 : 0;
  const std::size_t end = std::min(line.size(), begin + kShownLine);

  std::string text = begin > 0 ? "..." : "";
  std::string pad(text.size(), ' ');
  for (std::size_t i = begin; i < end; ++i) {
    text += line[i];
    if (i < column) pad += line[i] == "\t" ? "\t" : " ";
  }
  for (std::size_t i = end; i < column && i <= line.size(); ++i) pad += ' ';
  if (end < line.size()) text += "...";
  const auto wanted = static_cast<std::size_t>(std::max(where.length, 1));
  const std::size_t room = end > column ? end - column : 1;

  const std::string number = std::to_string(where.line);
  const std::string gutter(number.size() < 5 ? 5 - number.size() : 0, ' ');
  out += cat(gutter, number, " | ", text, "\n");
  out += cat(std::string(gutter.size() + number.size(), ' '), " | ", pad, "^",
             std::string(std::min(wanted, room) - 1, '~'), "\n");
}

std::string counted(std::size_t n, const char* word) { return cat(n, " ", word, n == 1 ? "" : "s"); }

}  // namespace

void Diagnostics::error(std::string code, std::string message, SourceSpan where, std::string help) {
  items_.push_back({Severity::error, std::move(code), std::move(message), std::move(where), std::move(help)});
}

void Diagnostics::warning(std::string code, std::string message, SourceSpan where, std::string help) {
  items_.push_back(
      {Severity::warning, std::move(code), std::move(message), std::move(where), std::move(help)});
}

bool Diagnostics::has_errors() const {
  return std::any_of(items_.begin(), items_.end(),
                     [](const Diagnostic& d) { return d.severity == Severity::error; });
}

std::vector<Diagnostic> Diagnostics::sorted() const {
  std::vector<Diagnostic> out = items_;
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return position(a) < position(b); });
  out.erase(std::unique(out.begin(), out.end(),
                        [](const auto& a, const auto& b) { return position(a) == position(b); }),
            out.end());
  return out;
}

std::string render_text(const Diagnostics& diagnostics) {
  std::string out;
  std::size_t errors = 0;
  std::size_t warnings = 0;
  for (const Diagnostic& d : diagnostics.sorted()) {
    ++(d.severity == Severity::error ? errors : warnings);
    if (!d.where.file.empty()) out += cat(d.where.file, ":");
    if (d.where.line > 0) out += cat(d.where.line, ":", d.where.column, ":");
    if (!out.empty() && out.back() == ':') out += ' ';
    out += cat(name_of(d.severity), ": ", d.message, " [", d.code, "]\n");
    render_source(d.where, out);
    if (!d.help.empty()) {
      out += cat("  help: ", join(split(d.help, '\n'), "\n        "), "\n");
    }
  }
  std::vector<std::string> counts;
  if (errors > 0) counts.push_back(counted(errors, "error"));
  if (warnings > 0) counts.push_back(counted(warnings, "warning"));
  if (!counts.empty()) out += cat(join(counts, ", "), "\n");
  return harmless(out);
}

std::string render_json(const Diagnostics& diagnostics) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Diagnostic& d : diagnostics.sorted()) {
    list.push_back({{"severity", name_of(d.severity)},
                    {"code", d.code},
                    {"message", d.message},
                    {"file", d.where.file},
                    {"line", d.where.line},
                    {"column", d.where.column},
                    {"help", d.help}});
  }
  const Json out = {{"valid", !diagnostics.has_errors()}, {"diagnostics", list}};
  // A message may quote bytes of a broken file: they must not keep the report from being printed.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cornstarch
