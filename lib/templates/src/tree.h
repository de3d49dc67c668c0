#pragma once

#include <string>
#include <vector>

#include "cornstarch/templates/value.h"

namespace cornstarch::templates {

struct Expression {
  enum class Kind {
    literal,
    name,
    list,
    tuple,
    dict,       ///< key, value, key, value, ...
    attribute,  ///< of args[0], by name
    item,       ///< of args[0], by args[1]
    slice,      ///< of args[0]: start, stop, step
    method,     ///< of args[0], by name; with arguments
    call,       ///< of the function `name`
    filter,     ///< of args[0]
    test,       ///< of args[0]
    sign,       ///< "-" of args[0]
    negation,
    both,
    either,
    compared,  ///< a < b <= c: `signs` between args
    sum,       ///< an arithmetic operation, `name`
    joined,    ///< a ~ b ~ c
    choice     ///< args[1] if args[0] else args[2], which may be absent
  };
  Kind kind = Kind::literal;
  std::size_t at = 0;  ///< byte of the source
  std::string name = {};
  Value value = {};
  std::vector<Expression> args = {};
  std::vector<std::string> signs = {};
  std::vector<std::string> keys = {};  ///< of the last args: those given by name
  int depth = 1;
};

struct Statement {
  enum class Kind { data, output, choice, loop, set, set_block, macro, generation, stop, next };
  struct Branch {
    Expression condition = {};
    std::vector<Statement> body = {};
  };
  Kind kind = Kind::data;
  std::size_t at = 0;
  std::string text = {};  ///< of data; the name of a macro, or of the namespace that `set` sets in
  std::vector<std::string> targets = {};  ///< of a loop or set, and the parameters of a macro
  std::vector<Expression> values =
      {};  ///< what is put out, gone through (then its condition), set; defaults of a macro
  std::vector<Branch> branches =
      {};  ///< of a choice, the condition true at last for `else`; else one body, and a loop's `else`
};

}  // namespace cornstarch::templates
