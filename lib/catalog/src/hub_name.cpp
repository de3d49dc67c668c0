#include "hub_name.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "cornstarch/base/text.h"

namespace cornstarch::catalog {
namespace {

/// The value as the config has it, without quotes.
std::string written(const SourceSpan& where) {
  if (where.column < 1 || where.length < 1) return "";
  const auto begin = static_cast<std::size_t>(where.column) - 1;
  if (begin >= where.line_text.size()) return "";
  std::string text = where.line_text.substr(begin, static_cast<std::size_t>(where.length));
  if (text.size() > 1 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
    text = text.substr(1, text.size() - 2);
  return text;
}

bool is_word(const std::string& text) {
  return !text.empty() && text.front() != '.' && text.front() != '~' &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
         });
}

}  // namespace

std::string download_help(const SourceSpan& where, const std::string& path, const std::string& files) {
  const std::string name = written(where);
  const auto words = split(name, '/');
  if (words.size() != 2 || !is_word(words[0]) || !is_word(words[1])) return "";
  std::error_code ignored;
  if (std::filesystem::exists(std::filesystem::path(path).parent_path(), ignored))
    return "";  // a folder here
  return cat("a model of the Hugging Face Hub must be downloaded first: hf download ", name,
             files.empty() ? "" : " ", files, " --local-dir ", path);
}

}  // namespace cornstarch::catalog
