#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fields.h"

/// The fields as a value that can be walked at run time: what the config may hold.
namespace cornstarch::config {

struct Key {
  enum class Kind {
    boolean,
    integer,
    number,
    text,
    choice,
    json,    ///< a map of anything
    object,  ///< a map of known keys: `children`
    named,   ///< a map of objects by names of the user's choice: children[0]
    list     ///< of children[0]
  };
  struct Option {
    std::string name;
    std::string doc;
    std::vector<std::string> hints;  ///< other words for it
  };

  Kind kind = Kind::object;
  std::string name;
  std::string doc;
  Rules rules;
  bool nullable = false;  ///< may be left out, also by writing null
  bool unsigned_64 = false;
  std::string fallback;  ///< the default as YAML; "" if there is none to show
  std::vector<Option> options;
  std::vector<Key> children;
  Groups exactly_one;

  bool is_map() const { return kind == Kind::object || kind == Kind::named || kind == Kind::json; }
  /// The child of that name, or with that alias.
  const Key* child(std::string_view name_or_alias) const;
};

inline bool is_path(const Key& key) {
  return key.kind == Key::Kind::text &&
         (key.rules.text == Text::input_path || key.rules.text == Text::output_path);
}

/// The whole config.
const Key& outline();

/// What a value may be, in words: "a whole number, at least 1".
std::string type_words(const Key& key);
std::string range_words(const Key& key);

}  // namespace cornstarch::config
