#include "lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"
#include "cornstarch/templates/value.h"

namespace cornstarch::templates {
namespace {

using Kind = Token::Kind;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) data();
    add(Kind::end, at_, {});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void wrong(std::size_t at, std::string message) const {
    throw Refused{std::move(message), {}, at};
  }
  std::string_view rest() const { return source_.substr(at_); }
  void add(Kind kind, std::size_t at, std::string text) { tokens_.push_back({kind, at, std::move(text)}); }
  void add_data(std::size_t at, std::string_view text) {
    if (!text.empty()) add(Kind::data, at, std::string(text));
  }

  /// Text up to the next tag, and the tag.
  void data() {
    std::size_t open = at_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string_view::npos || open + 1 >= source_.size()) {
        add_data(at_, rest());
        at_ = source_.size();
        return;
      }
      if (std::string_view("{%#").find(source_[open + 1]) != std::string_view::npos) break;
      ++open;
    }
    const char type = source_[open + 1];
    const std::size_t after = open + 2;
    const char sign = after < source_.size() ? source_[after] : ' ';
    const std::size_t text_at = at_;
    add_data(text_at, kept_before(source_.substr(at_, open - at_), sign, type != '{'));
    at_ = after + (sign == '-' || sign == '+' ? 1 : 0);
    if (type == '#') return comment(open);
    if (type == '{') return inside(open, Kind::open_output, Kind::close_output);
    if (!raw(open)) inside(open, Kind::open_tag, Kind::close_tag);
  }

  /// What stays of the text in front of a tag.
  std::string_view kept_before(std::string_view text, char sign, bool strips) const {
    if (sign == '-') return trim_end(text);
    if (sign == '+' || !strips) return text;
    const std::size_t end = text.rfind('\n');
    const std::size_t line = end == std::string_view::npos ? 0 : end + 1;
    if (line == 0 && !line_starting_) return text;
    return trim_unicode(text.substr(line)).empty() ? text.substr(0, line) : text;
  }

  /// The end of a tag at the place: what it takes with it. Nothing if there is none.
  bool close(std::string_view end, bool takes_newline) {
    const char sign = rest().empty() ? ' ' : rest()[0];
    const bool signed_end = sign == '-' || (sign == '+' && takes_newline);
    if (!rest().substr(signed_end ? 1 : 0).starts_with(end)) return false;
    at_ += end.size() + (signed_end ? 1 : 0);
    if (sign == '-') at_ = source_.size() - trim_start(rest()).size();
    if (!signed_end && takes_newline && rest().starts_with('\n')) ++at_;
    line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
    return true;
  }

  void comment(std::size_t open) {
    while (at_ < source_.size()) {
      if (close("#}", true)) return;
      ++at_;
    }
    wrong(open, "a comment without its end '#}'");
  }

  static std::string_view after_word(std::string_view text, std::string_view word) {
    text = trim_start(text);
    if (!text.starts_with(word)) return {};
    return trim_start(text.substr(word.size()));
  }

  /// {% raw %}...{% endraw %}
  bool raw(std::size_t open) {
    const std::size_t tag = at_;
    const std::string_view behind = after_word(rest(), "raw");
    if (behind.empty()) return false;
    at_ = source_.size() - behind.size();
    const bool strips = behind.starts_with("-%}");
    if (!strips && !behind.starts_with("%}")) {
      at_ = tag;
      return false;
    }
    at_ += strips ? 3 : 2;
    if (strips) at_ = source_.size() - trim_start(rest()).size();
    line_starting_ = source_[at_ - 1] == '\n';
    const std::size_t begin = at_;
    for (std::size_t end = source_.find("{%", begin); end != std::string_view::npos;
         end = source_.find("{%", end + 1)) {
      at_ = end + 2;
      const char sign = rest().empty() ? ' ' : rest()[0];
      if (sign == '-' || sign == '+') ++at_;
      const std::string_view last = after_word(rest(), "endraw");
      if (last.empty()) continue;
      at_ = source_.size() - last.size();
      const bool starting = line_starting_;
      if (!close("%}", true)) continue;
      const bool next_starting = std::exchange(line_starting_, starting);
      add_data(begin, kept_before(source_.substr(begin, end - begin), sign, true));
      line_starting_ = next_starting;
      return true;
    }
    wrong(open, "'raw' without its 'endraw'");
  }

  /// The tokens of an output or a tag.
  void inside(std::size_t open, Kind opens, Kind closes) {
    add(opens, open, {});
    std::string brackets;
    const bool tag = closes == Kind::close_tag;
    while (true) {
      at_ = source_.size() - trim_start(rest()).size();
      if (rest().empty()) wrong(open, cat("'{", tag ? '%' : '{', "' without its end"));
      const std::size_t at = at_;
      if (brackets.empty() && close(tag ? "%}" : "}}", tag)) return add(closes, at, {});
      token(brackets);
    }
  }

  void token(std::string& brackets) {
    const std::size_t at = at_;
    const char c = source_[at];
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return text();
    if (is_word(c)) {
      while (at_ < source_.size() && is_word(source_[at_])) ++at_;
      return add(Kind::name, at, std::string(source_.substr(at, at_ - at)));
    }
    static constexpr std::array<std::string_view, 26> kSigns = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto sign =
        std::find_if(kSigns.begin(), kSigns.end(), [&](auto s) { return rest().starts_with(s); });
    if (sign == kSigns.end())
      wrong(at, cat("unexpected '",
                    rest().substr(0, static_cast<std::size_t>(std::max(1, utf8_length(rest())))), "'"));
    at_ += sign->size();
    if (c == '(' || c == '[' || c == '{') brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty() || brackets.back() != c) wrong(at, cat("unexpected '", c, "'"));
      brackets.pop_back();
    }
    add(Kind::sign, at, std::string(*sign));
  }

  void digits() {
    while (at_ < source_.size() && (is_digit(source_[at_]) || source_[at_] == '_')) ++at_;
  }

  void number() {
    const std::size_t at = at_;
    digits();
    bool whole = true;
    if (rest().size() > 1 && rest()[0] == '.' && is_digit(rest()[1])) {
      whole = false;
      ++at_;
      digits();
    }
    if (!rest().empty() && (rest()[0] == 'e' || rest()[0] == 'E')) {
      const std::size_t sign = rest().size() > 1 && (rest()[1] == '+' || rest()[1] == '-') ? 2 : 1;
      if (rest().size() > sign && is_digit(rest()[sign])) {
        whole = false;
        at_ += sign;
        digits();
      }
    }
    std::string spelled(source_.substr(at, at_ - at));
    if (!rest().empty() && is_word(rest()[0]))
      wrong(at, cat("'", spelled, rest()[0], "...' is not a number"));
    Token token{whole ? Kind::whole : Kind::decimal, at, spelled};
    std::erase(spelled, '_');
    const char* const end = spelled.data() + spelled.size();
    const auto done = whole ? std::from_chars(spelled.data(), end, token.whole)
                            : std::from_chars(spelled.data(), end, token.decimal);
    if (done.ec != std::errc() || done.ptr != end) wrong(at, cat("the number ", token.text, " is too large"));
    tokens_.push_back(std::move(token));
  }

  void text() {
    const std::size_t at = at_;
    std::string value;
    for (++at_; at_ < source_.size(); ++at_) {
      if (source_[at_] == source_[at]) {
        ++at_;
        return add(Kind::text, at, std::move(value));
      }
      if (source_[at_] == '\\')
        escape(value);
      else
        value += source_[at_];
    }
    wrong(at, cat("a text without its end ", source_[at]));
  }

  /// Python's escapes in texts; at_ stays at the last byte.
  void escape(std::string& value) {
    static constexpr std::string_view kNames = "abfnrtv\\'\"", kValues = "\a\b\f\n\r\t\v\\'\"";
    if (++at_ >= source_.size()) return;
    const char c = source_[at_];
    const std::size_t known = kNames.find(c);
    if (known != std::string_view::npos) {
      value += kValues[known];
    } else if (c >= '0' && c <= '7') {
      std::size_t length = 1;
      while (length < 3 && length < rest().size() && rest()[length] >= '0' && rest()[length] <= '7') ++length;
      code(value, 0, length, 8);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      code(value, 1, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
    } else if (c == 'N' || (c & 0x80) != 0) {
      wrong(at_ - 1, cat("the escape '\\",
                         rest().substr(0, static_cast<std::size_t>(std::max(1, utf8_length(rest())))),
                         "' is not supported"));
    } else if (c != '\n') {
      value += cat('\\', c);
    }
  }

  void code(std::string& value, std::size_t skip, std::size_t length, int base) {
    const std::string_view spelled = rest().substr(skip, length);
    std::uint32_t number = 0;
    const auto done = std::from_chars(spelled.data(), spelled.data() + spelled.size(), number, base);
    const bool whole =
        spelled.size() == length && done.ptr == spelled.data() + spelled.size() && done.ec == std::errc();
    if (!whole || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000))
      wrong(at_ - 1, cat("the escape '\\", rest().substr(0, skip), spelled, "' is no character"));
    value += utf8_of(number);
    at_ += skip + length - 1;
  }

  std::string_view source_;
  std::size_t at_ = 0;
  bool line_starting_ = true;  ///< what stands behind the last tag begins a line
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_lines(std::string_view source) {
  std::string out;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool pair = source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n';
    if (!pair) out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace cornstarch::templates
