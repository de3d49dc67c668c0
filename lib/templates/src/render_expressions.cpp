#include <algorithm>
#include <utility>

#include "renderer.h"

namespace cornstarch::templates {

Value Renderer::value_of(const Expression& expression) {
  return placed(expression.at, [&] { return compute_value(expression); });
}

Value Renderer::find(std::string_view name) {
  for (std::size_t i = scopes_.size(); i-- > 0;) {
    meter_.step();
    const auto known = scopes_[i].names.find(name);
    if (known != scopes_[i].names.end()) return known->second;
    if (scopes_[i].macro && i > 0) i = 1;
  }
  if (has_function(name)) return Function{name};
  meter_.bytes(name.size());
  return Undefined{cat("'", name, "' is undefined")};
}

Value Renderer::compute_value(const Expression& e) {
  using Kind = Expression::Kind;
  const auto arg = [&](std::size_t i) { return value_of(e.args[i]); };
  switch (e.kind) {
    case Kind::literal:
      return e.value;
    case Kind::name:
      return find(e.name);
    case Kind::list:
    case Kind::tuple:
      return Value::list(values_of(e.args), e.kind == Kind::tuple);
    case Kind::dict:
      return dict(e);
    case Kind::attribute:
      return attribute_of(arg(0), e.name, meter_);
    case Kind::item:
      return item_of(arg(0), arg(1), meter_);
    case Kind::slice: {
      const auto parts = values_of(e.args);
      return slice_of(parts[0], parts[1], parts[2], parts[3], meter_);
    }
    case Kind::method:
    case Kind::filter:
    case Kind::test:
      return applied(e);
    case Kind::call:
      return call(e);
    case Kind::sign:
      return compute(e.name, Value(std::int64_t{0}), arg(0), meter_);
    case Kind::negation:
      return !arg(0).truth();
    case Kind::both: {
      Value first = arg(0);
      return first.truth() ? arg(1) : first;
    }
    case Kind::either: {
      Value first = arg(0);
      return first.truth() ? first : arg(1);
    }
    case Kind::compared:
      return compared(e);
    case Kind::sum: {
      const Value first = arg(0);
      return compute(e.name, first, arg(1), meter_);
    }
    case Kind::joined: {
      std::string text;
      for (const Value& part : values_of(e.args)) text += to_text(part, meter_);
      return text;
    }
    case Kind::choice:
      if (arg(0).truth()) return arg(1);
      return e.args.size() > 2 ? arg(2) : Value(Undefined{"an 'if' without an 'else' has no value here"});
  }
  return {};
}

std::vector<Value> Renderer::values_of(const std::vector<Expression>& expressions) {
  std::vector<Value> out;
  for (const Expression& each : expressions) out.push_back(value_of(each));
  return out;
}

Value Renderer::dict(const Expression& e) {
  std::vector<Named> items;
  for (std::size_t i = 0; i < e.args.size(); i += 2) {
    const Value key = value_of(e.args[i]);
    if (key.text() == nullptr) refuse(cat("a key of a dict must be a text, not ", key.kind()));
    meter_.bytes(key.text()->size());
    meter_.look_up(*key.text(), items);
    items.emplace_back(*key.text(), value_of(e.args[i + 1]));
  }
  return Value::dict(std::move(items));
}

Value Renderer::applied(const Expression& e) {
  std::vector<Value> values = values_of(e.args);
  const Value value = std::move(values.front());
  values.erase(values.begin());
  const Arguments arguments{std::move(values), e.keys};
  if (e.kind == Expression::Kind::method) return call_method(e.name, value, arguments, meter_);
  if (e.kind == Expression::Kind::filter) return apply_filter(e.name, value, arguments, meter_);
  return apply_test(e.name, value, arguments, meter_);
}

Value Renderer::compared(const Expression& e) {
  Value left = value_of(e.args[0]);
  for (std::size_t i = 0; i < e.signs.size(); ++i) {
    Value right = value_of(e.args[i + 1]);
    if (!holds(e.signs[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

bool Renderer::holds(std::string_view sign, const Value& a, const Value& b) {
  if (sign == "in") return contains(b, a, meter_);
  if (sign == "not in") return !contains(b, a, meter_);
  return apply_test(sign, a, {{b}}, meter_);
}

Value Renderer::call(const Expression& e) {
  const Value callee = find(e.name);
  const auto* function = callee.get<Function>();
  if (callee.undefined()) refuse(cat("the function '", e.name, "' is not supported"));
  if (function == nullptr) refuse(cat("'", e.name, "' is ", callee.kind(), ", not a function"));
  const Arguments arguments{values_of(e.args), e.keys};
  if (function->macro != nullptr) return call_macro(*function->macro, arguments);
  if (function->name != "namespace") return call_function(function->name, arguments, meter_);
  if (arguments.values.size() > arguments.keys.size())
    refuse("'namespace' of another value is not supported");
  auto space = std::make_unique<Namespace>();
  for (std::size_t i = 0; i < arguments.keys.size(); ++i)
    put_in(*space, arguments.keys[i], arguments.values[i]);
  meter_.bytes(sizeof(Namespace) + space->items.size() * sizeof(Named));
  spaces_.push_back(std::move(space));
  return spaces_.back().get();
}

Value Renderer::call_macro(const Statement& macro, const Arguments& arguments) {
  Scope scope{{}, true};
  const std::size_t placed_values = arguments.values.size() - arguments.keys.size();
  if (placed_values > macro.targets.size())
    refuse(
        cat("the macro '", macro.text, "' takes ", macro.targets.size(), " arguments, not ", placed_values));
  for (std::size_t i = 0; i < placed_values; ++i) scope.names[macro.targets[i]] = arguments.values[i];
  for (std::size_t i = 0; i < arguments.keys.size(); ++i) {
    const std::string& key = arguments.keys[i];
    if (std::find(macro.targets.begin(), macro.targets.end(), key) == macro.targets.end() ||
        scope.names.count(key) > 0)
      refuse(cat("the macro '", macro.text, "' takes no argument '", key, "' here"));
    scope.names[key] = arguments.values[placed_values + i];
  }
  return captured(macro.branches[0].body, with_defaults(macro, std::move(scope)));
}

/// Defaults see what the macro's body sees: the parameters that are given, and those in front of their own.
Renderer::Scope Renderer::with_defaults(const Statement& macro, Scope scope) {
  const std::size_t defaults = macro.targets.size() - macro.values.size();
  std::vector<std::size_t> absent;
  for (std::size_t i = 0; i < macro.targets.size(); ++i) {
    const std::string& name = macro.targets[i];
    const auto [unused, added] =
        scope.names.try_emplace(name, Undefined{cat("parameter '", name, "' was not provided")});
    if (added && i >= defaults) absent.push_back(i);
  }
  scopes_.push_back(std::move(scope));
  for (const std::size_t i : absent) {
    Value value = value_of(macro.values[i - defaults]);
    scopes_.back().names.insert_or_assign(macro.targets[i], std::move(value));
  }
  scope = std::move(scopes_.back());
  scopes_.pop_back();
  return scope;
}

}  // namespace cornstarch::templates
