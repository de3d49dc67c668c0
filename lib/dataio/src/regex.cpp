#include "regex.h"

#include <pcre2.h>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kMaxPattern = 1 << 14;
constexpr std::uint32_t kMatchLimit = 10'000'000;  // about a second
constexpr std::uint32_t kHeapKiB = 64 << 10;

// Unicode's White_Space. PCRE2's own \s also takes U+180E, which has not been a space since Unicode 6.3.
constexpr std::string_view kSpaces =
    "\\x09-\\x0D\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}";

/// Oniguruma's text in PCRE2's words.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : rest_(pattern) {}

  Result<std::string> translate() {
    while (!rest_.empty()) {
      const char c = take();
      Result<void> done = c == '\\' ? escape() : in_class_ ? class_character(c) : character(c);
      if (!done) return tl::unexpected(done.error());
    }
    return out_;
  }

 private:
  char take() {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }
  bool next_is(char c) const { return !rest_.empty() && rest_.front() == c; }

  static tl::unexpected<Error> refuse(std::string_view what) {
    return fail(ExitCode::bad_data, cat("'", what, "' in a pattern is not implemented"));
  }

  Result<void> escape() {
    if (rest_.empty()) return refuse("\\ at the end");
    const char c = take();
    if (c == 's' || c == 'S') return spaces(c == 'S');
    if (c == 'v') {
      out_ += "\\x0B";
      return {};
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if ((letter || digit) && std::string_view("pPdDrntfx").find(c) == std::string_view::npos)
      return refuse(cat('\\', c));
    out_ += '\\';
    out_ += c;
    if (next_is('{') && (c == 'p' || c == 'P' || c == 'x')) {  // its braces are no quantifier
      while (!rest_.empty() && !next_is('}')) out_ += take();
      if (!rest_.empty()) out_ += take();
    }
    return {};
  }

  Result<void> spaces(bool negated) {
    if (in_class_ && negated) return refuse("\\S inside [...]");
    out_ += in_class_ ? std::string(kSpaces) : cat(negated ? "[^" : "[", kSpaces, "]");
    return {};
  }

  Result<void> class_character(char c) {
    if (c == '[') return refuse("[ inside [...]");
    if (c == '&' && next_is('&')) return refuse("&& inside [...]");
    if (c == ']') in_class_ = false;
    out_ += c;
    return {};
  }

  Result<void> character(char c) {
    if (c == '^' || c == '$') return refuse(std::string(1, c));
    if (c == '}' && next_is('+')) return refuse("}+");
    if (c == '{' && next_is(',')) return refuse("{,");
    out_ += c;
    if (c == '(') return group();
    if (c != '[') return {};
    in_class_ = true;
    if (next_is('^')) out_ += take();
    if (next_is(']')) return refuse("[]");
    return {};
  }

  /// Of "(?...": what both read the same.
  Result<void> group() {
    if (next_is('*')) return refuse("(*");
    if (!next_is('?')) return {};
    for (const std::string_view known : {"?:", "?=", "?!", "?<=", "?<!", "?>", "?i:"}) {
      if (!rest_.starts_with(known)) continue;
      out_ += known;
      rest_.remove_prefix(known.size());
      return {};
    }
    return refuse(cat("(", rest_.substr(0, 2)));
  }

  std::string_view rest_;
  std::string out_;
  bool in_class_ = false;
};

std::string pcre2_message(int code) {
  PCRE2_UCHAR text[256];
  return pcre2_get_error_message(code, text, sizeof text) < 0 ? cat("PCRE2 error ", code)
                                                              : reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* c) : code(c), context(pcre2_match_context_create(nullptr)) {
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_depth_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapKiB);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
  pcre2_code* code;
  pcre2_match_context* context;
};

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPattern) return fail(ExitCode::bad_data, "a pattern longer than 16 KiB");
  auto translated = Translator(pattern).translate();
  if (!translated) return tl::unexpected(translated.error());
  return compile_translated(*translated);
}

Result<Regex> Regex::literal(std::string_view text) {
  if (text.empty()) return fail(ExitCode::bad_data, "an empty pattern");
  std::string pattern;
  for (const char c : text) {
    const bool special = std::string_view("\\^$.[]|()?*+{}#- \t\r\n").find(c) != std::string_view::npos;
    if (special) pattern += '\\';
    pattern += c;
  }
  return compile_translated(pattern);
}

Result<Regex> Regex::compile_translated(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr);
  if (code == nullptr) return fail(ExitCode::bad_data, cat("cannot read a pattern: ", pcre2_message(error)));
  Regex regex(std::make_shared<const Code>(code));
  std::uint32_t matches_empty = 0;
  pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &matches_empty);
  if (matches_empty != 0)
    return fail(ExitCode::bad_data, "a pattern that matches the empty text is not implemented");
  return regex;
}

Result<std::optional<std::pair<std::size_t, std::size_t>>> Regex::search(std::string_view text,
                                                                         std::size_t from) const {
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  const int found = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                PCRE2_NO_UTF_CHECK, data.get(), code_->context);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) return fail(ExitCode::bad_data, cat("cannot split the text: ", pcre2_message(found)));
  const PCRE2_SIZE* at = pcre2_get_ovector_pointer(data.get());
  return std::pair<std::size_t, std::size_t>(at[0], at[1]);
}

}  // namespace cornstarch::dataio
