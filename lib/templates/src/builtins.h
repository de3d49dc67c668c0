#pragma once

#include <string_view>
#include <vector>

#include "cornstarch/templates/value.h"

/// Filters, tests, methods and functions that templates use, as Jinja, Python and transformers have them.
namespace cornstarch::templates {

/// Arguments of a call: first those by place, the last ones by name.
struct Arguments {
  std::vector<Value> values;
  std::vector<std::string> keys = {};
};

bool has_filter(std::string_view name);
bool has_test(std::string_view name);
/// Of any type of value.
bool has_method(std::string_view name);
bool has_function(std::string_view name);

Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments, Meter& meter);
bool apply_test(std::string_view name, const Value& value, const Arguments& arguments, Meter& meter);
Value call_method(std::string_view name, const Value& value, const Arguments& arguments, Meter& meter);
/// All but namespace().
Value call_function(std::string_view name, const Arguments& arguments, Meter& meter);

/// Attributes and items as Jinja looks them up: what is not there is undefined.
Value attribute_of(const Value& value, std::string_view name, Meter& meter);
Value item_of(const Value& value, const Value& key, Meter& meter);
Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step, Meter& meter);
/// "+", "-", "*", "/", "//", "%", "**"
Value compute(std::string_view sign, const Value& a, const Value& b, Meter& meter);

}  // namespace cornstarch::templates
