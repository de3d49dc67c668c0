#include "expand_path.h"

#include <cstdlib>
#include <string_view>

#include "cornstarch/base/text.h"
#include "source.h"

namespace cornstarch::config {
namespace {

using Expanded = tl::expected<std::string, NotExpanded>;

constexpr const char* kForms = "write ${NAME} or ${NAME:-default}; $$ stands for a dollar";

tl::unexpected<NotExpanded> refuse(std::string_view part, std::string message, std::string help) {
  return tl::unexpected(NotExpanded{std::string(part), std::move(message), std::move(help)});
}

/// How many characters of a variable's name `text` begins with.
std::size_t name_length(std::string_view text) {
  const std::size_t end =
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
  const bool begins = !text.empty() && !(text[0] >= '0' && text[0] <= '9');
  return begins ? std::min(end, text.size()) : 0;
}

/// Where the brace closes that `text` begins behind.
std::size_t closing_brace(std::string_view text) {
  int open = 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 2) == "${") ++open;
    if (text[i] == '}' && --open == 0) return i;
  }
  return std::string_view::npos;
}

/// `part` is what names the variable.
Expanded variable(const std::string& name, std::string_view part) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') {
    return refuse(part, cat("the variable ", name, " is ", value == nullptr ? "not set" : "empty"),
                  cat("set it, or write a default: ${", name, ":-folder}; $$ stands for a dollar"));
  }
  if (!is_text(value)) return refuse(part, cat("the variable ", name, " is no UTF-8 text"), "");
  return value;
}

/// The value of `${inside}`, which the text spells `part`.
Expanded braces(std::string_view inside, std::string_view part) {
  const std::size_t length = name_length(inside);
  const std::string name(inside.substr(0, length));
  const std::string_view rest = inside.substr(length);
  const bool has_default = rest.substr(0, 2) == ":-";
  if (length == 0 || (!rest.empty() && !has_default)) {
    return refuse(part, cat("'", part, "' names no variable"), kForms);
  }
  const char* value = std::getenv(name.c_str());
  if (has_default && (value == nullptr || *value == '\0')) return expand_path(std::string(rest.substr(2)));
  return variable(name, part);
}

/// `text` begins with a dollar; takes what it expands from it.
Expanded dollar(std::string_view& text) {
  const std::string_view after = text.substr(1);
  if (after.substr(0, 1) == "$") {
    text.remove_prefix(2);
    return "$";
  }
  if (after.substr(0, 1) != "{") {
    const std::string_view part = text.substr(0, 1 + name_length(after));
    return refuse(
        part, cat("'", part, "' is not expanded"),
        part.size() > 1 ? cat("write ${", part.substr(1), "}, or $$ for a dollar") : "write $$ for a dollar");
  }
  const std::size_t close = closing_brace(after.substr(1));
  if (close == std::string_view::npos) return refuse(text, cat("'", text, "' lacks a '}'"), kForms);
  const std::string_view part = text.substr(0, close + 3);
  text.remove_prefix(part.size());
  return braces(part.substr(2, close), part);
}

}  // namespace

Expanded expand_path(const std::string& written) {
  std::string out;
  std::string_view left = written;
  if (left.substr(0, 1) == "~") {
    const std::string_view home = left.substr(0, left.find('/'));
    if (home.size() > 1) {
      return refuse(home, cat("'", home, "' is not expanded: only your own home is, as ~"),
                    cat("write the folder out, or ./", home, " for one of that name"));
    }
    auto value = variable("HOME", home);
    if (!value) return value;
    out = *value;
    left.remove_prefix(1);
  }
  while (!left.empty()) {
    const std::size_t plain = std::min(left.find('$'), left.size());
    out += left.substr(0, plain);
    left.remove_prefix(plain);
    if (left.empty()) break;
    auto value = dollar(left);
    if (!value) return value;
    out += *value;
  }
  return out;
}

std::string unexpanded(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == '$' ? "$$" : std::string(1, c);
  return out;
}

}  // namespace cornstarch::config
