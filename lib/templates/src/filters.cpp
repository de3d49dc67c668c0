#include "builtins.h"

#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>

#include "arguments.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"

namespace cornstarch::templates {
namespace {

constexpr std::array<std::string_view, 31> kFilters = {
    "trim",     "length",  "count",  "tojson", "join",       "first",      "last",       "list",
    "string",   "int",     "float",  "upper",  "lower",      "title",      "capitalize", "replace",
    "default",  "d",       "select", "reject", "selectattr", "rejectattr", "map",        "items",
    "dictsort", "reverse", "safe",   "abs",    "min",        "max",        "sum"};
/// The arguments from the n-th on.
Arguments rest_of(const Arguments& arguments, std::size_t n) {
  n = std::min(n, arguments.values.size() - arguments.keys.size());
  return {{arguments.values.begin() + static_cast<std::ptrdiff_t>(n), arguments.values.end()},
          arguments.keys};
}

/// "a.b" or "0" of a value, as `map(attribute=...)` and `selectattr` take them.
Value path_of(const Value& value, const Value& path, Meter& meter) {
  if (path.integer()) return item_of(value, path, meter);
  if (path.text() == nullptr) refuse(cat("an attribute is named by a text, not ", path.kind()));
  const std::string& names = *path.text();
  meter.bytes(names.size());
  meter.step(static_cast<std::size_t>(std::count(names.begin(), names.end(), '.')));
  Value out = value;
  for (const std::string& part : split(names, '.')) {
    const bool index =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string::npos;
    out = item_of(out, index ? Value(std::int64_t{std::stoi(part)}) : Value(part), meter);
  }
  return out;
}

/// select, reject, selectattr and rejectattr. What they make goes once, as in Jinja.
Value selected(const Value& value, const Arguments& arguments, bool by_attribute, bool wanted, Meter& meter) {
  const std::size_t place = by_attribute ? 1 : 0;
  if (by_attribute && arguments.values.empty()) refuse("'selectattr' without the name of an attribute");
  const bool tests = arguments.values.size() > place;
  const std::string* test = tests ? arguments.values[place].text() : nullptr;
  if (tests && (test == nullptr || !has_test(*test)))
    refuse(cat("the test '", test == nullptr ? arguments.values[place].kind() : *test, "' is not supported"));
  const Arguments more = rest_of(arguments, place + 1);
  std::vector<Value> out;
  for (const Value& item : items_of(value, meter)) {
    meter.step();
    const Value looked_at = by_attribute ? path_of(item, arguments.values[0], meter) : item;
    const bool yes = tests ? apply_test(*test, looked_at, more, meter) : looked_at.truth();
    if (yes == wanted) out.push_back(item);
  }
  return Value::generator(std::move(out));
}

Value mapped(const Value& value, const Arguments& arguments, Meter& meter) {
  const bool by_attribute = arguments.values.size() == arguments.keys.size();
  const Arguments named = by_attribute ? arguments : Arguments{};
  const Given given("map", named, {"attribute", "default"});
  const std::string* filter = by_attribute ? nullptr : arguments.values[0].text();
  if (!by_attribute && (filter == nullptr || !has_filter(*filter)))
    refuse(
        cat("the filter '", filter == nullptr ? arguments.values[0].kind() : *filter, "' is not supported"));
  const Arguments more = by_attribute ? Arguments{} : rest_of(arguments, 1);
  std::vector<Value> out;
  for (const Value& item : items_of(value, meter)) {
    meter.step();
    Value made = by_attribute ? path_of(item, given.any(0), meter) : apply_filter(*filter, item, more, meter);
    out.push_back(made.undefined() && by_attribute && given.has(1) ? given.any(1) : std::move(made));
  }
  return Value::generator(std::move(out));
}

Value filter_json(const Value& value, const Arguments& arguments, Meter& meter) {
  const Given given("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonForm form;
  form.ascii = given.yes(0);
  form.indent = static_cast<int>(std::clamp<std::int64_t>(given.whole(1, -1), -1, 16));
  if (form.indent >= 0) form.comma = ",";
  if (given.has(2)) {
    const List* pair = given[2]->list();
    if (pair == nullptr || pair->items.size() != 2 || pair->items[0].text() == nullptr ||
        pair->items[1].text() == nullptr)
      refuse("the separators of 'tojson' are two texts");
    form.comma = *pair->items[0].text();
    form.colon = *pair->items[1].text();
  }
  form.sort_keys = given.yes(3);
  return to_json(value, form, meter);
}

Value filter_join(const Value& value, const Arguments& arguments, Meter& meter) {
  const Given given("join", arguments, {"d", "attribute"});
  const std::string between = given.has(0) ? to_text(given.any(0), meter) : "";
  std::string out;
  bool first = true;
  for (const Value& item : items_of(value, meter)) {
    meter.bytes(between.size());
    if (!std::exchange(first, false)) out += between;
    out += to_text(given.has(1) ? path_of(item, given.any(1), meter) : item, meter);
  }
  return out;
}

/// int() and float() of a text; nothing where Python raises.
std::optional<double> parsed_float(std::string_view text) {
  text = trim_unicode(text);
  const bool plus = text.starts_with('+');
  if (plus) text.remove_prefix(1);
  double number = 0;
  const auto done = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole =
      done.ec == std::errc() && done.ptr == text.data() + text.size() && !(plus && text.starts_with('-'));
  return whole ? std::optional(number) : std::nullopt;
}
std::optional<std::int64_t> parsed_int(std::string_view text) {
  text = trim_unicode(text);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  std::int64_t number = 0;
  const auto done = std::from_chars(text.data(), text.data() + text.size(), number);
  return done.ec == std::errc() && done.ptr == text.data() + text.size() ? std::optional(number)
                                                                         : std::nullopt;
}

std::int64_t whole_of(double number) {
  if (!(std::abs(number) < 9.2e18)) refuse("a whole number beyond 64 bits");
  return static_cast<std::int64_t>(number);
}

Value filter_int(const Value& value, const Arguments& arguments, Meter& meter) {
  const Given given("int", arguments, {"default"});
  if (value.integer()) return *value.integer();
  std::optional<double> number = value.number();
  if (value.text() != nullptr) {
    meter.bytes(value.text()->size());
    if (const auto whole = parsed_int(*value.text())) return *whole;
    number = parsed_float(*value.text());
  }
  if (number && std::isfinite(*number)) return whole_of(*number);
  return given.has(0) ? given.any(0) : Value(std::int64_t{0});
}

Value filter_float(const Value& value, const Arguments& arguments, Meter& meter) {
  const Given given("float", arguments, {"default"});
  if (value.text() != nullptr) meter.bytes(value.text()->size());
  const auto number = value.text() != nullptr ? parsed_float(*value.text()) : value.number();
  if (number) return *number;
  return given.has(0) ? given.any(0) : Value(0.0);
}

Value filter_ends(std::string_view name, const Value& value, Meter& meter) {
  if (value.once() && name == "last") refuse("a generator has no last item", "'list' makes a list of it");
  if (value.once()) {
    const List& list = *value.list();
    const std::size_t at = list.take(1);
    if (at < list.items.size()) return list.items[at];
  }
  const std::vector<Value> items = items_of(value, meter);
  if (items.empty()) return Undefined{cat("there is no ", name, " item of what is empty")};
  return name == "first" ? items.front() : items.back();
}

Value filter_most(std::string_view name, const Value& value, Meter& meter) {
  const std::vector<Value> items = items_of(value, meter);
  if (items.empty()) return Undefined{cat("there is no ", name, " of nothing")};
  const Value* best = &items[0];
  for (const Value& item : items) {
    meter.step();
    const int order = compare(item, *best, meter);
    if (name == "min" ? order < 0 : order > 0) best = &item;
  }
  return *best;
}

Value filter_sum(const Value& value, const Arguments& arguments, Meter& meter) {
  const Given given("sum", arguments, {"attribute", "start"});
  Value total = given.has(1) ? given.any(1) : Value(std::int64_t{0});
  for (const Value& item : items_of(value, meter)) {
    meter.step();
    total = compute("+", total, given.has(0) ? path_of(item, given.any(0), meter) : item, meter);
  }
  return total;
}

/// The items of a dict by its keys, upper and lower case alike.
Value filter_dictsort(const Value& value, const Arguments& arguments, Meter& meter) {
  const Given none("dictsort", arguments, {});
  if (value.dict() == nullptr) refuse(cat("'dictsort' asks for a dict, not ", value.kind()));
  std::vector<std::pair<std::string, const Named*>> order;
  for (const Named& item : value.dict()->items) {
    meter.bytes(3 * item.first.size());
    order.emplace_back(*call_method("lower", Value(item.first), {}, meter).text(), &item);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Value> out;
  for (const auto& [key, item] : order) out.push_back(Value::list({Value(item->first), item->second}, true));
  return Value::list(std::move(out));
}

Value filter_reverse(const Value& value, Meter& meter) {
  std::vector<Value> items = items_of(value, meter);
  std::reverse(items.begin(), items.end());
  if (value.once()) return Value::list(std::move(items));
  if (value.text() == nullptr) return Value::generator(std::move(items));
  return call_method("join", Value(""), {{Value::list(std::move(items))}}, meter);
}

/// Jinja's own, which begins a word behind fewer signs than Python's title().
Value filter_title(const std::string& text, Meter& meter) {
  std::string out = *call_method("lower", Value(text), {}, meter).text();
  for (std::size_t i = 0; i < out.size(); ++i) {
    if ((out[i] & 0x80) != 0) refuse("'title' of letters beyond ASCII is not supported");
    const bool begins =
        i == 0 || std::string_view("- \t\n\r\v\f({[<").find(out[i - 1]) != std::string_view::npos;
    if (begins && out[i] >= 'a' && out[i] <= 'z') out[i] = static_cast<char>(out[i] - 32);
  }
  return out;
}

Value filter_abs(const Value& value) {
  if (const auto whole = value.integer(); whole && *whole != std::numeric_limits<std::int64_t>::min())
    return *whole < 0 ? -*whole : *whole;
  if (!value.number()) refuse(cat("'abs' asks for a number, not ", value.kind()));
  return std::abs(*value.number());
}

}  // namespace

bool has_filter(std::string_view name) { return is_in(kFilters, name); }

Value apply_filter(std::string_view name, const Value& value, const Arguments& arguments, Meter& meter) {
  if (name == "default" || name == "d") {
    const Given given(name, arguments, {"default_value", "boolean"});
    if (!value.undefined() && (!given.yes(1) || value.truth())) return value;
    return arguments.values.empty() ? Value("") : given.any(0);
  }
  if (name == "select" || name == "reject") return selected(value, arguments, false, name == "select", meter);
  if (name == "selectattr" || name == "rejectattr")
    return selected(value, arguments, true, name == "selectattr", meter);
  if (name == "map") return mapped(value, arguments, meter);
  if (name == "tojson") return filter_json(value, arguments, meter);
  if (name == "join") return filter_join(value, arguments, meter);
  if (name == "int") return filter_int(value, arguments, meter);
  if (name == "float") return filter_float(value, arguments, meter);
  if (name == "sum") return filter_sum(value, arguments, meter);
  if (name == "dictsort") return filter_dictsort(value, arguments, meter);
  if (name == "trim") return call_method("strip", to_text(value, meter), arguments, meter);
  if (name == "replace") return call_method("replace", to_text(value, meter), arguments, meter);
  const Given none(name, arguments, {});
  if (name == "upper" || name == "lower" || name == "capitalize")
    return call_method(name, to_text(value, meter), arguments, meter);
  if (name == "title") return filter_title(to_text(value, meter), meter);
  if (name == "first" || name == "last") return filter_ends(name, value, meter);
  if (name == "min" || name == "max") return filter_most(name, value, meter);
  if (name == "list") return Value::list(items_of(value, meter));
  if (name == "string") return to_text(value, meter);
  if (name == "reverse") return filter_reverse(value, meter);
  if (name == "abs") return filter_abs(value);
  if (name == "items")
    return Value::generator(
        items_of(value.undefined() ? value : call_method("items", value, arguments, meter), meter));
  const auto length = length_of(value, meter);  // length, count
  if (!length) refuse(cat(value.kind(), " has no length"));
  return static_cast<std::int64_t>(*length);
}

}  // namespace cornstarch::templates
