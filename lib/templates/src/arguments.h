#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "builtins.h"
#include "cornstarch/base/text.h"

namespace cornstarch::templates {

bool is_in(const auto& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The arguments of a call by the names of its parameters. Refuses those that it does not take.
class Given {
 public:
  Given(std::string_view what, const Arguments& arguments, std::initializer_list<std::string_view> parameters)
      : what_(what), values_(parameters.size(), nullptr) {
    const std::size_t placed = arguments.values.size() - arguments.keys.size();
    if (placed > parameters.size())
      refuse(cat("'", what, "' takes ", parameters.size(), " arguments at most, not ", placed));
    for (std::size_t i = 0; i < placed; ++i) values_[i] = &arguments.values[i];
    for (std::size_t i = 0; i < arguments.keys.size(); ++i) {
      const auto known = std::find(parameters.begin(), parameters.end(), arguments.keys[i]);
      if (known == parameters.end())
        refuse(cat("'", what, "' with the argument '", arguments.keys[i], "' is not supported"));
      values_[static_cast<std::size_t>(known - parameters.begin())] = &arguments.values[placed + i];
    }
  }

  /// Nothing where it is absent or none.
  const Value* operator[](std::size_t i) const {
    if (values_[i] != nullptr) need_defined(*values_[i]);
    return values_[i] == nullptr || values_[i]->none() ? nullptr : values_[i];
  }
  bool has(std::size_t i) const { return (*this)[i] != nullptr; }
  /// As it was given, undefined or not.
  const Value& any(std::size_t i) const {
    if (values_[i] == nullptr) refuse(cat("'", what_, "' without its argument ", i + 1));
    return *values_[i];
  }
  const std::string& text(std::size_t i) const {
    const std::string* text = any(i).text();
    need_defined(any(i));
    if (text == nullptr)
      refuse(cat("argument ", i + 1, " of '", what_, "' must be a text, not ", any(i).kind()));
    return *text;
  }
  std::int64_t whole(std::size_t i, std::int64_t otherwise) const {
    if (!has(i)) return otherwise;
    const auto number = (*this)[i]->integer();
    if (!number)
      refuse(cat("argument ", i + 1, " of '", what_, "' must be a whole number, not ", any(i).kind()));
    return *number;
  }
  bool yes(std::size_t i) const { return has(i) && (*this)[i]->truth(); }

 private:
  std::string_view what_;
  std::vector<const Value*> values_;
};

}  // namespace cornstarch::templates
