#include <array>
#include <cmath>
#include <ctime>
#include <limits>

#include "arguments.h"

namespace cornstarch::templates {
namespace {

constexpr std::array<std::string_view, 5> kFunctions = {"range", "dict", "namespace", "raise_exception",
                                                        "strftime_now"};

std::int64_t floored(std::int64_t a, std::int64_t b) {
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

Value compute_whole(std::string_view sign, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  bool beyond = false;
  if (sign == "+") beyond = __builtin_add_overflow(a, b, &out);
  if (sign == "-") beyond = __builtin_sub_overflow(a, b, &out);
  if (sign == "*") beyond = __builtin_mul_overflow(a, b, &out);
  if (sign == "**") {
    out = 1;
    const bool small = a == 0 || a == 1 || a == -1;
    for (std::int64_t i = small ? b % 2 + 2 * (b > 1) : b; i > 0 && !beyond; --i)
      beyond = __builtin_mul_overflow(out, a, &out);
  }
  if (sign == "//" || sign == "%") {
    if (b == 0) refuse("division by zero");
    beyond = a == std::numeric_limits<std::int64_t>::min() && b == -1;
    if (!beyond) out = sign == "//" ? floored(a, b) : a - floored(a, b) * b;
  }
  if (beyond) refuse("a whole number beyond 64 bits");
  return out;
}

Value compute_float(std::string_view sign, double a, double b) {
  if (sign == "+") return a + b;
  if (sign == "-") return a - b;
  if (sign == "*") return a * b;
  if (sign == "**") return std::pow(a, b);
  if (b == 0) refuse("division by zero");
  if (sign == "/") return a / b;
  if (sign == "//") return std::floor(a / b);
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/// A text or list so many times.
Value repeated(const Value& value, std::int64_t times, Meter& meter) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
  const std::size_t size =
      value.text() != nullptr ? value.text()->size() : value.list()->items.size() * sizeof(Value);
  meter.step(n);
  if (size > 0) meter.bytes(n > std::numeric_limits<std::size_t>::max() / size ? n : n * size);
  std::string text;
  std::vector<Value> items;
  for (std::size_t i = 0; i < n; ++i) {
    if (value.text() != nullptr)
      text += *value.text();
    else
      items.insert(items.end(), value.list()->items.begin(), value.list()->items.end());
  }
  if (value.text() != nullptr) return text;
  return Value::list(std::move(items), value.list()->tuple);
}

Value range(const Arguments& arguments, Meter& meter) {
  const Given given("range", arguments, {"start", "stop", "step"});
  const std::int64_t first = given.whole(0, 0), step = given.whole(2, 1);
  const std::int64_t start = given.has(1) ? first : 0, stop = given.whole(1, first);
  if (step == 0) refuse("'range' with a step of 0");
  std::vector<Value> out;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    meter.step();
    if (out.size() >= 100'000) refuse("'range' of more than 100000 numbers");  // Jinja's limit
    out.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return Value::list(std::move(out));
}

/// The day is always the same, that which Llama 3 takes where it knows none: a sample must not change over
/// night.
Value date(const std::string& format) {
  std::tm day = {};
  day.tm_year = 2024 - 1900;
  day.tm_mon = 6;
  day.tm_mday = 26;
  day.tm_wday = 5;
  day.tm_yday = 207;
  for (std::size_t at = format.find('%'); at != std::string::npos; at = format.find('%', at + 2)) {
    if (at + 1 == format.size() ||
        std::string_view("dmyYbBaAHIMSpj%").find(format[at + 1]) == std::string_view::npos)
      refuse(cat("the date format '", format.substr(at, 2), "' is not supported"));
  }
  if (format.empty() || format.size() > 256) refuse("a date format of no or more than 256 bytes");
  std::array<char, 4096> text;
  return std::string(text.data(), std::strftime(text.data(), text.size(), format.c_str(), &day));
}

}  // namespace

bool has_function(std::string_view name) { return is_in(kFunctions, name); }

Value call_function(std::string_view name, const Arguments& arguments, Meter& meter) {
  if (name == "range") return range(arguments, meter);
  if (name == "raise_exception")
    throw Refused{to_text(Given(name, arguments, {"message"}).any(0), meter), {}, {}, true};
  if (name == "strftime_now") return date(Given(name, arguments, {"format"}).text(0));
  // dict
  if (arguments.values.size() > arguments.keys.size()) refuse("'dict' of another value is not supported");
  std::vector<Named> items;
  for (std::size_t i = 0; i < arguments.keys.size(); ++i) {
    meter.bytes(arguments.keys[i].size());
    items.emplace_back(arguments.keys[i], arguments.values[i]);
  }
  return Value::dict(std::move(items));
}

Value compute(std::string_view sign, const Value& a, const Value& b, Meter& meter) {
  need_defined(a);
  need_defined(b);
  if (a.once() || b.once()) refuse(cat("'", sign, "' of ", a.kind(), " and ", b.kind()));
  if (sign == "+" && a.text() != nullptr && b.text() != nullptr) {
    meter.bytes(a.text()->size() + b.text()->size());
    return *a.text() + *b.text();
  }
  if (sign == "+" && a.list() != nullptr && b.list() != nullptr && a.list()->tuple == b.list()->tuple) {
    std::vector<Value> items = items_of(a, meter);
    for (const Value& item : items_of(b, meter)) items.push_back(item);
    return Value::list(std::move(items), a.list()->tuple);
  }
  if (sign == "*" && b.integer() && (a.text() != nullptr || a.list() != nullptr))
    return repeated(a, *b.integer(), meter);
  if (sign == "*" && a.integer() && (b.text() != nullptr || b.list() != nullptr))
    return repeated(b, *a.integer(), meter);
  if (!a.number() || !b.number()) refuse(cat("'", sign, "' of ", a.kind(), " and ", b.kind()));
  const bool whole = a.integer() && b.integer() && sign != "/" && !(sign == "**" && *b.integer() < 0);
  return whole ? compute_whole(sign, *a.integer(), *b.integer())
               : compute_float(sign, *a.number(), *b.number());
}

}  // namespace cornstarch::templates
