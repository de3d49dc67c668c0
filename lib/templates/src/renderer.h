#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "builtins.h"
#include "cornstarch/base/text.h"
#include "cornstarch/templates/template.h"
#include "tree.h"

namespace cornstarch::templates {

/// One rendering: walks through a template's statements.
class Renderer {
 public:
  explicit Renderer(const std::vector<Named>& variables);
  Rendering run(const std::vector<Statement>& statements);

 private:
  using Statements = std::vector<Statement>;
  /// Of expressions and statements that are under way, those of macros that call each other included.
  static constexpr int kMaxDepth = 400;

  enum class Flow { on, next, stop };  ///< as `continue` and `break` say

  struct Scope {
    std::map<std::string, Value, std::less<>> names = {};
    bool macro = false;  ///< only what is global is seen from it
  };

  class Deeper {
   public:
    explicit Deeper(Renderer& renderer) : depth_(renderer.depth_) {
      if (++depth_ > kMaxDepth) {
        --depth_;
        refuse(cat("nested deeper than ", kMaxDepth, " levels"));
      }
    }
    ~Deeper() { --depth_; }

   private:
    int& depth_;
  };

  Flow run_all(const Statements& statements);
  Flow run_scoped(const Statements& statements);
  /// Adds the place to what is refused on the way.
  template <typename Work>
  auto placed(std::size_t at, const Work& work) -> decltype(work()) {
    const Deeper deeper(*this);
    try {
      meter_.step();
      return work();
    } catch (Refused& refused) {
      if (!refused.at) refused.at = at;
      throw;
    }
  }
  Flow run_one(const Statement& statement);
  void put(std::string_view text);
  Flow generation(const Statement& statement);
  /// What statements put out, in a scope of their own.
  Value captured(const Statements& statements, Scope scope);
  void set(const Statement& statement, Value value);
  void put_in(Namespace& space, const std::string& name, Value value);
  void assign(const std::vector<std::string>& targets, Value value);
  Flow loop(const Statement& statement);
  static Value loop_of(const std::vector<Value>& items, std::size_t at);

  Value value_of(const Expression& expression);
  Value find(std::string_view name);
  Value compute_value(const Expression& e);
  std::vector<Value> values_of(const std::vector<Expression>& expressions);
  Value dict(const Expression& e);
  Value applied(const Expression& e);
  Value compared(const Expression& e);
  bool holds(std::string_view sign, const Value& a, const Value& b);
  Value call(const Expression& e);
  Value call_macro(const Statement& macro, const Arguments& arguments);
  Scope with_defaults(const Statement& macro, Scope scope);

  Rendering out_;
  std::string* capture_ = nullptr;  ///< of a macro or block that is set, in place of out_
  std::vector<Scope> scopes_;
  std::vector<std::unique_ptr<Namespace>> spaces_;
  Meter meter_;
  int depth_ = 0;
};

}  // namespace cornstarch::templates
