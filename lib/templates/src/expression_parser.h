#pragma once

#include <optional>

#include "cursor.h"
#include "tree.h"

namespace cornstarch::templates {

/// What stands between tags' words, by Jinja's precedence: each function reads what binds tighter than its
/// name.
class ExpressionParser : public Cursor {
 public:
  using Cursor::Cursor;

 protected:
  using Kind = Expression::Kind;

  Expression made(Kind kind, std::size_t at, std::vector<Expression> args, std::string name = {}) const;
  template <typename... Args>
  static std::vector<Expression> listed(Args... args) {
    std::vector<Expression> out;
    (out.push_back(std::move(args)), ...);
    return out;
  }
  /// One or several with commas between them, which are a tuple.
  Expression tuple(bool brackets);
  Expression expression(bool with_choice);
  Expression either();
  Expression both();
  Expression negated();
  Expression compared();
  Expression sum();
  Expression joined();
  Expression product();
  Expression power();
  Expression unary(bool with_filters);
  Expression literal(std::size_t at, Value value);
  Expression primary();
  Expression named(const Token& token);
  Expression dict(std::size_t at);
  Expression postfix(Expression out);
  Expression subscript(Expression base, std::size_t at);
  Expression method(Expression base, std::string name, std::size_t at);
  Expression call(Expression callee);
  /// (a, b, key=c)
  void arguments(std::vector<Expression>& args, std::vector<std::string>& keys);
  Expression filtered(Expression out);
  std::string dotted();
  /// Tests and filters that filters take by name.
  void check_inner_names(const std::string& filter, const std::vector<Expression>& args,
                         std::size_t keys) const;
  Expression tested(Expression value, std::size_t at);

  std::optional<std::size_t> safe_;  ///< where a filter `safe` stands
};

}  // namespace cornstarch::templates
