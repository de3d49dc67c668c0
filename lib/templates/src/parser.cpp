#include "parser.h"

#include <algorithm>
#include <utility>

#include "expression_parser.h"

namespace cornstarch::templates {
namespace {

/// The statements of a template: text, outputs and tags.
class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  std::vector<Statement> run() {
    auto statements = body({});
    if (here().kind != Token::Kind::end) unexpected();
    return statements;
  }

 private:
  /// Up to a tag of one of these names, which is taken, but not closed.
  std::vector<Statement> body(const std::vector<std::string_view>& ends) {
    const Deeper deeper(*this);
    std::vector<Statement> out;
    while (here().kind != Token::Kind::end) {
      const Token& token = here();
      if (token.kind == Token::Kind::data) {
        out.push_back({Statement::Kind::data, token.at, token.text});
        ++next_;
      } else if (token.kind == Token::Kind::open_output) {
        ++next_;
        out.push_back({Statement::Kind::output, token.at, {}, {}, {output()}});
        if (here().kind != Token::Kind::close_output) unexpected("'}}'");
        ++next_;
      } else {
        ++next_;
        if (here().kind != Token::Kind::name) unexpected("the name of a tag");
        if (std::find(ends.begin(), ends.end(), here().text) != ends.end()) return out;
        out.push_back(tag());
        close_tag();
      }
      if (safe_) lacks("the filter 'safe' on a part of what is put out", *safe_);
    }
    if (!ends.empty()) wrong(cat("'", ends.back(), "' is missing at the end of the template"));
    return out;
  }

  /// `safe` changes nothing where all of what is put out is marked by it.
  Expression output() {
    Expression out = expression(true);
    if (out.kind != Kind::filter || out.name != "safe") return out;
    safe_.reset();
    Expression inner = std::move(out.args[0]);
    return inner;
  }

  Statement tag() {
    const Token& token = take();
    Statement out;
    out.at = token.at;
    if (token.text == "if") return choice(std::move(out));
    if (token.text == "for") return loop(std::move(out));
    if (token.text == "set") return set(std::move(out));
    if (token.text == "macro") return macro(std::move(out));
    if (token.text == "generation") {
      out.kind = Statement::Kind::generation;
      close_tag();
      if (in_generation_) lacks("'generation' inside of another", out.at);
      // What it marks is not put out from there, but where the macro is called or the variable named.
      if (macros_ > 0) lacks("'generation' inside of a macro or a block that is set", out.at);
      in_generation_ = true;
      out.branches.push_back({{}, body({"endgeneration"})});
      in_generation_ = false;
      ++next_;
      return out;
    }
    if (token.text == "break" || token.text == "continue") {
      if (loops_ == 0) throw Refused{cat("'", token.text, "' outside of a loop"), {}, token.at};
      out.kind = token.text == "break" ? Statement::Kind::stop : Statement::Kind::next;
      return out;
    }
    if (token.text.starts_with("end") || token.text == "else" || token.text == "elif")
      throw Refused{cat("'", token.text, "' ends nothing here"), {}, token.at};
    lacks(cat("the tag '", token.text, "'"), token.at);
  }

  Statement choice(Statement out) {
    out.kind = Statement::Kind::choice;
    std::string end;
    do {
      Expression condition = expression(true);
      close_tag();
      auto branch = body({"elif", "else", "endif"});
      out.branches.push_back({std::move(condition), std::move(branch)});
      end = take().text;
    } while (end == "elif");
    if (end == "else") {
      close_tag();
      Expression always;
      always.value = true;
      out.branches.push_back({std::move(always), body({"endif"})});
      ++next_;
    }
    return out;
  }

  Statement loop(Statement out) {
    out.kind = Statement::Kind::loop;
    out.targets = targets("in");
    out.values.push_back(expression(false));
    if (sees(",")) lacks("a loop over a list without brackets", out.at);
    if (takes_word("if")) out.values.push_back(expression(true));
    if (sees_word("recursive")) lacks("a recursive loop", here().at);
    close_tag();
    ++loops_;
    out.branches.push_back({{}, body({"else", "endfor"})});
    --loops_;
    if (take().text == "else") {
      close_tag();
      out.branches.push_back({{}, body({"endfor"})});
      ++next_;
    }
    return out;
  }

  /// Names with commas between them, up to a word or sign.
  std::vector<std::string> targets(std::string_view end) {
    std::vector<std::string> out;
    const bool brackets = takes("(");
    do {
      if (!out.empty() && (brackets ? sees(")") : sees(end) || sees_word(end))) break;
      if (sees_word("true") || sees_word("false") || sees_word("none")) unexpected("a name to set");
      out.push_back(name());
    } while (takes(","));
    if (brackets) need(")");
    if (end == "in" && !takes_word(end)) unexpected("'in'");
    return out;
  }

  Statement set(Statement out) {
    out.kind = Statement::Kind::set;
    if (ahead().is(Token::Kind::sign, ".")) {
      out.text = name();
      ++next_;
      out.targets.push_back(name());
    } else {
      out.targets = targets("=");
    }
    if (takes("=")) {
      out.values.push_back(tuple(false));
      return out;
    }
    if (sees("|")) lacks("a filter on a block that is set", here().at);
    out.kind = Statement::Kind::set_block;
    if (out.targets.size() > 1) unexpected("'='");
    close_tag();
    ++macros_;
    out.branches.push_back({{}, body({"endset"})});
    --macros_;
    ++next_;
    return out;
  }

  Statement macro(Statement out) {
    if (loops_ > 0 || macros_ > 0) lacks("a macro inside of a loop, a macro or a block that is set", out.at);
    out.kind = Statement::Kind::macro;
    out.text = name();
    need("(");
    while (!takes(")")) {
      if (!out.targets.empty()) need(",");
      out.targets.push_back(name());
      if (takes("=")) {
        out.values.push_back(expression(true));
      } else if (!out.values.empty()) {
        wrong("a parameter without a value behind one with a value");
      }
    }
    close_tag();
    ++macros_;
    out.branches.push_back({{}, body({"endmacro"})});
    --macros_;
    ++next_;
    return out;
  }

  int loops_ = 0, macros_ = 0;
  bool in_generation_ = false;
};

}  // namespace

std::vector<Statement> parse(std::string_view source) { return Parser(source).run(); }

}  // namespace cornstarch::templates
