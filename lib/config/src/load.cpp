#include "cornstarch/config/load.h"

#include <string_view>

#include "aliases.h"
#include "bind.h"
#include "conform.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "overrides.h"
#include "read_yaml.h"
#include "report.h"
#include "rules.h"

namespace cornstarch::config {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxLine = 10000;  // a report repeats the line of each problem
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// Whether `text` begins with a character that looks like a space and is none, as copied from web pages.
bool begins_with_false_space(std::string_view text) {
  const std::string_view character = text.substr(0, text.substr(0, 1) == "\xC2" ? 2 : 3);
  const bool en_to_zero_width = character >= "\xE2\x80\x80" && character <= "\xE2\x80\x8B";
  return en_to_zero_width || character == "\xC2\xA0" || character == "\xE2\x80\xAF" ||
         character == "\xE3\x80\x80";
}

/// What no YAML reader should see: other encodings, endless lines, and tabs, which each reader takes
/// differently.
bool is_readable(const std::string& text, const std::shared_ptr<const SourceText>& source, Report& report) {
  if (text.size() > kMaxBytes) {
    report.error("too_large", cat("the config is larger than ", human_bytes(kMaxBytes)), whole(source));
    return false;
  }
  if (!is_text(text)) {
    report.error("yaml_syntax", "the config is no UTF-8 text", whole(source));
    return false;
  }
  bool good = true;
  for (int number = 1; number <= source->last_line(); ++number) {
    const std::string& line = source->line(number);
    const std::size_t content = line.find_first_not_of(" \t");
    const std::size_t tab = line.find('\t');
    if (line.size() > kMaxLine) {
      report.error("too_large", cat("line ", number, " is longer than ", kMaxLine, " bytes"), whole(source));
      good = false;
    } else if (tab < content && content != std::string::npos && line[content] != '#') {
      report.error("yaml_syntax", "this line is indented with a tab",
                   {source, number, static_cast<int>(tab) + 1, 1}, "indent with spaces");
      good = false;
    } else if (content != std::string::npos &&
               begins_with_false_space(std::string_view(line).substr(content))) {
      report.error("yaml_syntax", "this line is indented with a character that only looks like a space",
                   {source, number, static_cast<int>(content) + 1, 1}, "indent with spaces");
      good = false;
    }
  }
  return good;
}

/// The tree of the file, if it is a YAML map.
std::optional<Node> read_map(const std::string& text, const std::shared_ptr<const SourceText>& source,
                             Report& report) {
  if (!is_readable(text, source, report)) return std::nullopt;
  auto root = read_yaml(text, source, 1, 1, report);
  if (!root || root->kind == Node::Kind::map) return root;
  const bool empty = root->kind == Node::Kind::null;
  report.error("wrong_type", empty ? "the config is empty" : "a config is a map of keys",
               empty ? whole(source) : root->place,
               root->kind == Node::Kind::scalar && root->text.find(':') != std::string::npos
                   ? "write a space after ':'"
                   : "for an example see configs/demo.yaml");
  return std::nullopt;
}

}  // namespace

std::optional<Loaded> load_text(const std::string& text, const std::string& name,
                                const std::filesystem::path& base, const std::vector<std::string>& overrides,
                                Diagnostics& diagnostics) {
  Report report(diagnostics);
  std::string content = text;
  if (content.compare(0, kByteOrderMark.size(), kByteOrderMark) == 0) content.erase(0, kByteOrderMark.size());
  const auto source = std::make_shared<const SourceText>(name, content);
  auto root = read_map(content, source, report);
  if (!root) return std::nullopt;

  translate_aliases(*root, outline(), "", report);
  for (const std::string& flag : overrides) apply_override(flag, *root, report);

  Loaded loaded;
  const Bases bases{std::filesystem::absolute(base), std::filesystem::current_path()};
  conform(*root, bases, loaded.where, report);
  loaded.where.set("", whole(source));
  loaded.config = bind(*root);
  loaded.config.run_dir = (bases.current / loaded.config.run_dir).string();  // also the default
  check_rules(loaded, report);
  return loaded;
}

std::optional<Loaded> load(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                           Diagnostics& diagnostics) {
  const auto text = read_file_or_pipe(file, kMaxBytes);
  if (!text) {
    diagnostics.error("unreadable", text.error().message, {file.string(), 0, 0, 1, {}}, text.error().help);
    return std::nullopt;
  }
  return load_text(*text, file.string(), std::filesystem::absolute(file).parent_path(), overrides,
                   diagnostics);
}

}  // namespace cornstarch::config
