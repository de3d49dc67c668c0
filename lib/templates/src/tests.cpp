#include <array>

#include "arguments.h"

namespace cornstarch::templates {
namespace {

constexpr std::array<std::string_view, 31> kTests = {
    "defined", "undefined",   "none",    "boolean",  "true",     "false",  "integer", "float",
    "number",  "string",      "mapping", "iterable", "sequence", "sameas", "eq",      "equalto",
    "==",      "ne",          "!=",      "lt",       "lessthan", "<",      "le",      "<=",
    "gt",      "greaterthan", ">",       "ge",       ">=",       "in",     "odd"};
constexpr std::array<std::string_view, 2> kMoreTests = {"even", "divisibleby"};

bool test_order(std::string_view name, const Value& a, const Value& b, Meter& meter) {
  if (name == "eq" || name == "equalto" || name == "==") return equal(a, b, meter);
  if (name == "ne" || name == "!=") return !equal(a, b, meter);
  const int order = compare(a, b, meter);
  if (name == "lt" || name == "lessthan" || name == "<") return order < 0;
  if (name == "le" || name == "<=") return order <= 0;
  if (name == "gt" || name == "greaterthan" || name == ">") return order > 0;
  return order >= 0;
}

bool test_kind(std::string_view name, const Value& value) {
  const bool* yes = value.get<bool>();
  if (name == "defined") return !value.undefined();
  if (name == "undefined") return value.undefined();
  if (name == "none") return value.none();
  if (name == "boolean") return yes != nullptr;
  if (name == "true") return yes != nullptr && *yes;
  if (name == "false") return yes != nullptr && !*yes;
  if (name == "integer") return value.get<std::int64_t>() != nullptr;
  if (name == "float") return value.get<double>() != nullptr;
  if (name == "number") return value.number().has_value();
  if (name == "string") return value.text() != nullptr;
  if (name == "mapping") return value.dict() != nullptr;
  if (name == "sequence" && value.once()) return false;
  const bool several = value.text() != nullptr || value.list() != nullptr || value.dict() != nullptr;
  return several || value.undefined();  // iterable, sequence
}

}  // namespace

bool has_test(std::string_view name) { return is_in(kTests, name) || is_in(kMoreTests, name); }

bool apply_test(std::string_view name, const Value& value, const Arguments& arguments, Meter& meter) {
  const auto whole = [&](const Value& number) {
    if (!number.integer()) refuse(cat("'", name, "' asks for a whole number, not ", number.kind()));
    return *number.integer();
  };
  if (name == "odd" || name == "even") {
    const Given none(name, arguments, {});
    return (whole(value) % 2 != 0) == (name == "odd");
  }
  if (name == "divisibleby") {
    const std::int64_t by = whole(Given(name, arguments, {"num"}).any(0));
    return by == 0 ? (refuse("division by zero"), false) : by == -1 || whole(value) % by == 0;
  }
  if (name == "in") return contains(Given(name, arguments, {"seq"}).any(0), value, meter);
  if (name == "sameas") {
    const Value& other = Given(name, arguments, {"other"}).any(0);
    const bool single = other.none() || other.get<bool>() != nullptr;
    if (!single) refuse("'sameas' with anything but true, false and none is not supported");
    return other.none() ? value.none()
                        : value.get<bool>() != nullptr && *value.get<bool>() == *other.get<bool>();
  }
  const auto* const order = std::find(kTests.begin(), kTests.end(), "eq");
  if (std::find(order, kTests.end(), name) != kTests.end())
    return test_order(name, value, Given(name, arguments, {"other"}).any(0), meter);
  const Given none(name, arguments, {});
  return test_kind(name, value);
}

}  // namespace cornstarch::templates
