#include "outline.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "scalars.h"

namespace cornstarch::config {
namespace {

template <typename T>
Key describe(const T& fallback, const Rules& rules);

template <Described T>
std::vector<Key> children_of(const T& fallback) {
  std::vector<Key> out;
  for_each_field<T>([&](const auto& f) {
    Key key = describe(fallback.*f.member, f.rules);
    key.name = f.name;
    key.doc = f.doc;
    key.rules = f.rules;
    key.nullable = !f.rules.required;
    if (f.rules.required) key.fallback.clear();
    if (!f.rules.fallback.empty()) key.fallback = f.rules.fallback;
    out.push_back(std::move(key));
  });
  return out;
}

/// The kind of a number, with its default.
template <typename T>
void describe_number(const T& fallback, Key& out) {
  if constexpr (std::is_same_v<T, bool>) {
    out.kind = Key::Kind::boolean;
    out.fallback = fallback ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    out.kind = Key::Kind::integer;
    out.unsigned_64 = std::is_unsigned_v<T>;
    out.fallback = std::to_string(fallback);
  } else {
    out.kind = Key::Kind::number;
    out.fallback = format_number(fallback);
  }
}

template <typename T>
Key describe(const T& fallback, const Rules& rules) {
  Key out;
  out.rules = rules;
  if constexpr (is_optional<T>) {
    out = describe(typename T::value_type(), rules);
    out.fallback.clear();
  } else if constexpr (is_vector<T>) {
    using Item = typename T::value_type;
    out.kind = Named<Item> ? Key::Kind::named : Key::Kind::list;
    out.children.push_back(describe(Item(), rules));
    out.children[0].rules.count = 0;
    out.children[0].nullable = Named<Item>;
    std::vector<std::string> items;
    if constexpr (std::is_arithmetic_v<Item>) {
      for (const Item& item : fallback) items.push_back(describe(item, {}).fallback);
    }
    if (!items.empty()) out.fallback = cat("[", join(items, ", "), "]");
  } else if constexpr (Described<T>) {
    out.kind = Key::Kind::object;
    out.children = children_of(fallback);
    out.exactly_one = Describe<T>::exactly_one();
  } else if constexpr (std::is_enum_v<T>) {
    out.kind = Key::Kind::choice;
    out.fallback = name_of(fallback);
    for (const auto& choice : Choices<T>::values) {
      out.options.push_back({choice.name, choice.doc, {}});
      for (const char* hint : choice.hints)
        if (hint != nullptr) out.options.back().hints.emplace_back(hint);
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    out.kind = rules.text == Text::json ? Key::Kind::json : Key::Kind::text;
    out.fallback = fallback;
  } else {
    describe_number(fallback, out);
  }
  return out;
}

std::string number_text(const Key& key, double value) {
  const bool whole = key.kind == Key::Kind::integer;
  return whole ? std::to_string(static_cast<long long>(value)) : cat(value);
}

}  // namespace

const Key* Key::child(std::string_view wanted) const {
  for (const Key& key : children) {
    const auto& aliases = key.rules.aliases;
    if (key.name == wanted || std::find(aliases.begin(), aliases.end(), wanted) != aliases.end()) return &key;
  }
  return nullptr;
}

const Key& outline() {
  static const Key root = describe(RunConfig(), {});
  return root;
}

std::string type_words(const Key& key) {
  switch (key.kind) {
    case Key::Kind::boolean:
      return "true or false";
    case Key::Kind::integer:
      return "a whole number";
    case Key::Kind::number:
      return "a number";
    case Key::Kind::text:
      return is_path(key) ? "a path" : "text";
    case Key::Kind::choice: {
      std::vector<std::string> names;
      for (const Key::Option& option : key.options) names.push_back(option.name);
      return cat("one of ", join(names, ", "));
    }
    case Key::Kind::json:
    case Key::Kind::object:
    case Key::Kind::named:
      return "a map of keys";
    case Key::Kind::list:
      break;
  }
  const Key& item = key.children[0];
  const std::string count = key.rules.count > 0 ? cat(key.rules.count, " ") : "";
  switch (item.kind) {
    case Key::Kind::number:
      return cat("a list of ", count, "numbers");
    case Key::Kind::list:
      return "a list of lists of names";
    case Key::Kind::text:
      return "a list of names";
    default:
      return "a list of maps";
  }
}

std::string range_words(const Key& key) {
  const Rules& r = key.rules;
  std::vector<std::string> parts;
  if (r.min && r.max) return cat("from ", number_text(key, *r.min), " to ", number_text(key, *r.max));
  if (r.min) parts.push_back(cat("at least ", number_text(key, *r.min)));
  if (r.above) parts.push_back(cat("greater than ", number_text(key, *r.above)));
  if (r.max) parts.push_back(cat("at most ", number_text(key, *r.max)));
  if (r.below) parts.push_back(cat("less than ", number_text(key, *r.below)));
  return join(parts, " and ");
}

}  // namespace cornstarch::config
