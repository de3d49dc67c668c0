#include "expression_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "builtins.h"

namespace cornstarch::templates {

Expression ExpressionParser::made(Kind kind, std::size_t at, std::vector<Expression> args,
                                  std::string name) const {
  Expression out;
  out.kind = kind;
  out.at = at;
  out.name = std::move(name);
  for (const Expression& each : args) out.depth = std::max(out.depth, each.depth + 1);
  out.args = std::move(args);
  if (out.depth > kMaxDepth) throw Refused{cat("nested deeper than ", kMaxDepth, " levels"), {}, at};
  return out;
}

Expression ExpressionParser::tuple(bool brackets) {
  const std::size_t at = here().at;
  std::vector<Expression> items;
  bool comma = false;
  while (!(brackets && sees(")")) && here().kind != Token::Kind::close_tag) {
    items.push_back(expression(true));
    comma = takes(",");
    if (!comma) break;
  }
  if (items.size() == 1 && !comma) return std::move(items[0]);
  if (items.empty() && !brackets) unexpected("an expression");
  return made(Kind::tuple, at, std::move(items));
}

Expression ExpressionParser::expression(bool with_choice) {
  const Deeper deeper(*this);
  Expression out = either();
  while (with_choice && sees_word("if")) {
    const std::size_t at = take().at;
    Expression condition = either();
    auto args = listed(std::move(condition), std::move(out));
    if (takes_word("else")) args.push_back(expression(true));
    out = made(Kind::choice, at, std::move(args));
  }
  return out;
}

Expression ExpressionParser::either() {
  Expression out = both();
  while (sees_word("or")) {
    const std::size_t at = take().at;
    out = made(Kind::either, at, listed(std::move(out), both()));
  }
  return out;
}

Expression ExpressionParser::both() {
  Expression out = negated();
  while (sees_word("and")) {
    const std::size_t at = take().at;
    out = made(Kind::both, at, listed(std::move(out), negated()));
  }
  return out;
}

Expression ExpressionParser::negated() {
  if (!sees_word("not")) return compared();
  const Deeper deeper(*this);
  const std::size_t at = take().at;
  return made(Kind::negation, at, listed(negated()));
}

Expression ExpressionParser::compared() {
  static constexpr std::array<std::string_view, 6> kSigns = {"==", "!=", "<", "<=", ">", ">="};
  const std::size_t at = here().at;
  std::vector<Expression> args = listed(sum());
  std::vector<std::string> signs;
  while (true) {
    const bool sign = here().kind == Token::Kind::sign &&
                      std::find(kSigns.begin(), kSigns.end(), here().text) != kSigns.end();
    const bool not_in = sees_word("not") && ahead().is(Token::Kind::name, "in");
    if (!sign && !sees_word("in") && !not_in) break;
    signs.push_back(not_in ? "not in" : here().text);
    next_ += not_in ? 2 : 1;
    args.push_back(sum());
  }
  if (signs.empty()) return std::move(args[0]);
  Expression out = made(Kind::compared, at, std::move(args));
  out.signs = std::move(signs);
  return out;
}

Expression ExpressionParser::sum() {
  Expression out = joined();
  while (sees("+") || sees("-")) {
    const Token& sign = take();
    out = made(Kind::sum, sign.at, listed(std::move(out), joined()), sign.text);
  }
  return out;
}

Expression ExpressionParser::joined() {
  const std::size_t at = here().at;
  std::vector<Expression> args = listed(product());
  while (takes("~")) args.push_back(product());
  return args.size() == 1 ? std::move(args[0]) : made(Kind::joined, at, std::move(args));
}

Expression ExpressionParser::product() {
  Expression out = power();
  while (sees("*") || sees("/") || sees("//") || sees("%")) {
    const Token& sign = take();
    out = made(Kind::sum, sign.at, listed(std::move(out), power()), sign.text);
  }
  return out;
}

Expression ExpressionParser::power() {
  Expression out = unary(true);
  while (sees("**")) {
    const Token& sign = take();
    out = made(Kind::sum, sign.at, listed(std::move(out), unary(true)), sign.text);
  }
  return out;
}

Expression ExpressionParser::unary(bool with_filters) {
  const Deeper deeper(*this);
  Expression out;
  if (sees("-") || sees("+")) {
    const Token& sign = take();
    out = made(Kind::sign, sign.at, listed(unary(false)), sign.text);
  } else {
    out = primary();
  }
  out = postfix(std::move(out));
  return with_filters ? filtered(std::move(out)) : out;
}

Expression ExpressionParser::literal(std::size_t at, Value value) {
  Expression out;
  out.at = at;
  out.value = std::move(value);
  return out;
}

Expression ExpressionParser::primary() {
  const Token& token = take();
  switch (token.kind) {
    case Token::Kind::text: {
      std::string text = token.text;
      while (here().kind == Token::Kind::text) text += take().text;
      return literal(token.at, std::move(text));
    }
    case Token::Kind::whole:
      return literal(token.at, token.whole);
    case Token::Kind::decimal:
      return literal(token.at, token.decimal);
    case Token::Kind::name:
      return named(token);
    default:
      break;
  }
  if (token.text == "(") {
    Expression out = tuple(true);
    need(")");
    return out;
  }
  if (token.text == "[") {
    std::vector<Expression> items;
    while (!takes("]")) {
      if (!items.empty()) need(",");
      if (takes("]")) break;
      items.push_back(expression(true));
    }
    return made(Kind::list, token.at, std::move(items));
  }
  if (token.text == "{") return dict(token.at);
  if (token.kind != Token::Kind::end) --next_;
  unexpected();
}

Expression ExpressionParser::named(const Token& token) {
  const std::string& word = token.text;
  if (word == "true" || word == "True") return literal(token.at, true);
  if (word == "false" || word == "False") return literal(token.at, false);
  if (word == "none" || word == "None") return literal(token.at, {});
  return made(Kind::name, token.at, {}, word);
}

Expression ExpressionParser::dict(std::size_t at) {
  std::vector<Expression> items;
  while (!takes("}")) {
    if (!items.empty()) need(",");
    if (takes("}")) break;
    items.push_back(expression(true));
    need(":");
    items.push_back(expression(true));
  }
  return made(Kind::dict, at, std::move(items));
}

Expression ExpressionParser::postfix(Expression out) {
  while (true) {
    const Token& token = here();
    if (takes(".")) {
      if (here().kind == Token::Kind::whole) {
        const Token& index = take();
        out = made(Kind::item, token.at, listed(std::move(out), literal(index.at, index.whole)));
        continue;
      }
      std::string attribute = name();
      out = sees("(") ? method(std::move(out), std::move(attribute), token.at)
                      : made(Kind::attribute, token.at, listed(std::move(out)), std::move(attribute));
    } else if (takes("[")) {
      out = subscript(std::move(out), token.at);
    } else if (sees("(")) {
      out = call(std::move(out));
    } else {
      return out;
    }
  }
}

Expression ExpressionParser::subscript(Expression base, std::size_t at) {
  std::vector<Expression> parts;
  const std::size_t begin = here().at;
  bool slice = false;
  Expression part = literal(begin, {});
  while (!takes("]")) {
    if (takes(":")) {
      slice = true;
      parts.push_back(std::exchange(part, literal(here().at, {})));
    } else {
      if (sees(",")) lacks("an index of several parts", here().at);
      part = expression(true);
      if (!sees(":") && !sees("]") && !sees(",")) unexpected("']'");
    }
    if (parts.size() > 2) unexpected("']'");
  }
  if (!slice && part.at == begin && part.kind == Kind::literal && part.value.none())
    wrong("an index without a value");
  parts.push_back(std::move(part));
  if (!slice) return made(Kind::item, at, listed(std::move(base), std::move(parts[0])));
  while (parts.size() < 3) parts.push_back(literal(at, {}));
  parts.insert(parts.begin(), std::move(base));
  return made(Kind::slice, at, std::move(parts));
}

Expression ExpressionParser::method(Expression base, std::string name, std::size_t at) {
  if (!has_method(name)) lacks(cat("the method '", name, "'"), at);
  auto args = listed(std::move(base));
  std::vector<std::string> keys;
  arguments(args, keys);
  Expression out = made(Kind::method, at, std::move(args), std::move(name));
  out.keys = std::move(keys);
  return out;
}

Expression ExpressionParser::call(Expression callee) {
  if (callee.kind != Kind::name) lacks("a call of what is no name", here().at);
  std::vector<Expression> args;
  std::vector<std::string> keys;
  arguments(args, keys);
  Expression out = made(Kind::call, callee.at, std::move(args), callee.name);
  out.keys = std::move(keys);
  return out;
}

void ExpressionParser::arguments(std::vector<Expression>& args, std::vector<std::string>& keys) {
  need("(");
  for (bool first = true; !takes(")"); first = false) {
    if (!first) {
      need(",");
      if (takes(")")) return;
    }
    if (sees("*") || sees("**")) lacks("an argument list that is unpacked", here().at);
    if (here().kind == Token::Kind::name && ahead().is(Token::Kind::sign, "=")) {
      keys.push_back(name());
      ++next_;
    } else if (!keys.empty()) {
      wrong("an argument without a name behind one with a name");
    }
    args.push_back(expression(true));
  }
}

Expression ExpressionParser::filtered(Expression out) {
  while (true) {
    const std::size_t at = here().at;
    if (takes("|")) {
      std::string filter = dotted();
      if (!has_filter(filter)) lacks(cat("the filter '", filter, "'"), at);
      if (safe_) lacks("the filter 'safe' on a part of what is put out", *safe_);
      if (filter == "safe") safe_ = at;
      auto args = listed(std::move(out));
      std::vector<std::string> keys;
      if (sees("(")) arguments(args, keys);
      check_inner_names(filter, args, keys.size());
      out = made(Kind::filter, at, std::move(args), std::move(filter));
      out.keys = std::move(keys);
    } else if (takes_word("is")) {
      out = tested(std::move(out), at);
    } else if (sees("(")) {
      lacks("a call of what a filter makes", at);
    } else {
      return out;
    }
  }
}

std::string ExpressionParser::dotted() {
  std::string out = name();
  while (takes(".")) out += "." + name();
  return out;
}

void ExpressionParser::check_inner_names(const std::string& filter, const std::vector<Expression>& args,
                                         std::size_t keys) const {
  const std::size_t place = filter == "select" || filter == "reject" || filter == "map" ? 1
                            : filter == "selectattr" || filter == "rejectattr"          ? 2
                                                                                        : 0;
  if (place == 0 || args.size() - keys <= place || args[place].kind != Kind::literal) return;
  const std::string* inner = args[place].value.text();
  if (inner == nullptr) return;
  if (filter == "map" ? !has_filter(*inner) : !has_test(*inner))
    lacks(cat(filter == "map" ? "the filter '" : "the test '", *inner, "'"), args[place].at);
}

Expression ExpressionParser::tested(Expression value, std::size_t at) {
  const bool negated = takes_word("not");
  std::string test = dotted();
  if (!has_test(test)) lacks(cat("the test '", test, "'"), at);
  auto args = listed(std::move(value));
  std::vector<std::string> keys;
  const Token& token = here();
  const bool ends =
      token.kind == Token::Kind::name && (token.text == "else" || token.text == "or" || token.text == "and");
  if (sees("(")) {
    arguments(args, keys);
  } else if (sees("[") || sees("{") || token.kind == Token::Kind::text || token.kind == Token::Kind::whole ||
             token.kind == Token::Kind::decimal || (token.kind == Token::Kind::name && !ends)) {
    if (sees_word("is")) wrong("tests cannot be chained with 'is'");
    args.push_back(postfix(primary()));
  }
  Expression out = made(Kind::test, at, std::move(args), std::move(test));
  out.keys = std::move(keys);
  return negated ? made(Kind::negation, at, listed(std::move(out))) : out;
}

}  // namespace cornstarch::templates
