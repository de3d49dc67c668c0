#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cornstarch/base/text.h"
#include "cornstarch/templates/value.h"
#include "lexer.h"

namespace cornstarch::templates {

/// A place among a template's tokens, what stands there, and what to say of it.
class Cursor {
 public:
  explicit Cursor(std::string_view source) : tokens_(tokenize(source)) {}

 protected:
  /// Of expressions and statements in each other. The interpreter goes as deep.
  static constexpr int kMaxDepth = 100;

  class Deeper {
   public:
    explicit Deeper(Cursor& cursor) : depth_(cursor.depth_) {
      if (++depth_ > kMaxDepth) cursor.wrong(cat("nested deeper than ", kMaxDepth, " levels"));
    }
    ~Deeper() { --depth_; }

   private:
    int& depth_;
  };

  const Token& here() const { return tokens_[next_]; }
  const Token& take() {
    const Token& token = here();
    if (token.kind != Token::Kind::end) ++next_;
    return token;
  }
  [[noreturn]] void wrong(std::string message, std::string help = {}) const {
    throw Refused{std::move(message), std::move(help), here().at};
  }
  [[noreturn]] void unexpected(const std::string& wanted = {}) const {
    const Token& token = here();
    const std::string found = token.kind == Token::Kind::end            ? "the end of the template"
                              : token.kind == Token::Kind::close_tag    ? "'%}'"
                              : token.kind == Token::Kind::close_output ? "'}}'"
                              : token.kind == Token::Kind::data         ? "text"
                                                                        : cat("'", token.text, "'");
    wrong(wanted.empty() ? cat("unexpected ", found) : cat("expected ", wanted, ", found ", found));
  }
  [[noreturn]] void lacks(const std::string& what, std::size_t at) const {
    throw Refused{cat(what, " is not supported"), {}, at};
  }

  bool sees(std::string_view sign) const { return here().is(Token::Kind::sign, sign); }
  bool sees_word(std::string_view word) const { return here().is(Token::Kind::name, word); }
  bool takes(std::string_view sign) { return sees(sign) && (++next_, true); }
  bool takes_word(std::string_view word) { return sees_word(word) && (++next_, true); }
  void need(std::string_view sign) {
    if (!takes(sign)) unexpected(cat("'", sign, "'"));
  }
  std::string name() {
    if (here().kind != Token::Kind::name) unexpected("a name");
    return take().text;
  }
  void close_tag() {
    if (here().kind != Token::Kind::close_tag) unexpected("'%}'");
    ++next_;
  }
  const Token& ahead() const { return tokens_[next_ + 1 < tokens_.size() ? next_ + 1 : next_]; }

  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  int depth_ = 0;
};

}  // namespace cornstarch::templates
