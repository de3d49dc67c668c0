#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/config/load.h"

namespace cornstarch::config {

struct Entry;

/// A YAML value and where it was written.
struct Node {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  bool quoted = false;   ///< a scalar in quotes (or a block scalar): text, whatever it looks like
  bool refused = false;  ///< a problem of it is reported; it counts as written, but has no value
  std::string text;      ///< of a scalar; of null as it is written, or "" where nothing is
  Place place;
  std::vector<Node> items;     ///< of a list
  std::vector<Entry> entries;  ///< of a map, in order, keys unique

  Entry* find(std::string_view key);
  const Entry* find(std::string_view key) const;

  static Node scalar(std::string text, bool quoted = false);
  static Node of(Kind kind);
};

struct Entry {
  std::string key;
  Place place;  ///< of the key
  Node value;
};

inline Node Node::of(Kind kind) {
  Node node;
  node.kind = kind;
  return node;
}

inline Node Node::scalar(std::string text, bool quoted) {
  Node node = of(Kind::scalar);
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}

inline Entry* Node::find(std::string_view key) {
  for (Entry& entry : entries) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

inline const Entry* Node::find(std::string_view key) const { return const_cast<Node*>(this)->find(key); }

}  // namespace cornstarch::config
