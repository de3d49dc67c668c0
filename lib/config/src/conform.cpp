#include "conform.h"

#include <algorithm>
#include <limits>
#include <set>

#include "aliases.h"
#include "cornstarch/base/text.h"
#include "expand_path.h"
#include "scalars.h"
#include "suggest.h"

namespace cornstarch::config {
namespace {

std::string kind_words(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return node.text.empty() ? "but it is empty" : cat("not ", node.text);
    case Node::Kind::list:
      return "not a list";
    case Node::Kind::map:
      return "not a map";
    case Node::Kind::scalar:
      break;
  }
  return node.quoted ? cat("not the text \"", node.text, "\"") : cat("not '", node.text, "'");
}

/// Whether `node` unsets the key: then it counts as never written. Nothing after the colon does not, since it
/// is more often forgotten than meant.
bool unsets(const Node& node, const Key* key) {
  return key != nullptr && key->nullable && node.kind == Node::Kind::null && !node.text.empty();
}

/// The part of a place that holds `text`, if it stands there as it is.
Place narrowed(Place place, const std::string& text) {
  const std::string& line = place.source->line(place.line);
  const std::size_t at = line.find(text, static_cast<std::size_t>(std::max(place.column - 1, 0)));
  if (at == std::string::npos || at + text.size() > static_cast<std::size_t>(place.column - 1 + place.length))
    return place;
  place.column = static_cast<int>(at) + 1;
  place.length = static_cast<int>(text.size());
  return place;
}

bool is_word(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

class Conformer {
 public:
  Conformer(const Bases& bases, SourceMap& where, Report& report)
      : bases_(bases), where_(where), report_(report) {}

  /// `key_place` is where the key of the value stands, or the value itself in a list.
  void value(Node& node, const Key& key, const std::string& path, const Place& key_place) {
    const bool by_key = node.kind == Node::Kind::map && node.place.source != nullptr;
    where_.set(path, by_key ? key_place : node.place);
    if (node.refused) return;
    if (node.kind == Node::Kind::null) {
      return wrong_type(node, key, path, node.text.empty() ? key_place : node.place);
    }
    switch (key.kind) {
      case Key::Kind::object:
        return is_map(node, key, path) ? object(node, key, path, key_place) : void();
      case Key::Kind::named:
        return is_map(node, key, path) ? named(node, key, path) : void();
      case Key::Kind::json:
        return is_map(node, key, path) ? json(node, path) : void();
      case Key::Kind::list:
        return list(node, key, path);
      default:
        return scalar(node, key, path);
    }
  }

 private:
  void wrong_type(Node& node, const Key& key, const std::string& path, const Place& place) {
    const std::string range = range_words(key);
    report_.error("wrong_type",
                  cat(path_words(path), " must be ", type_words(key), range.empty() ? "" : ", ", range, ", ",
                      kind_words(node)),
                  place, type_help(node, key));
    node.refused = true;
  }

  static std::string type_help(const Node& node, const Key& key) {
    if (node.kind == Node::Kind::null) return null_help(node, key);
    if (node.kind != Node::Kind::scalar) return {};
    if (key.is_map()) return map_help(node, key);
    if (key.kind == Key::Kind::text) return cat("put it in quotes: \"", node.text, "\"");
    if (node.quoted) {
      const bool fits = key.kind == Key::Kind::boolean ? parse_bool(node.text).has_value()
                                                       : parse_number(node.text).has_value();
      return fits ? "write it without quotes" : "";
    }
    if (key.kind == Key::Kind::integer) {
      const auto number = parse_number(node.text);
      constexpr double kExact = 9007199254740992.0;
      if (number &&
          *number == static_cast<double>(static_cast<long long>(std::clamp(*number, -kExact, kExact)))) {
        return cat("write ", static_cast<long long>(*number));
      }
    }
    return clearer_spelling(node.text);
  }

  static std::string null_help(const Node& node, const Key& key) {
    if (key.nullable) return "leave the key out, or write null for its default";
    if (key.name.empty()) return {};  // an item of a list
    return node.text.empty() ? cat(key.name, ": ", key.doc)
                             : "null unsets only what may be left out; this key is required";
  }

  /// For a word where a map should be: "projector: mlp" means "projector: {type: mlp}".
  static std::string map_help(const Node& node, const Key& key) {
    if (node.text.find(':') != std::string::npos && !node.quoted) return "write a space after ':'";
    std::vector<std::string> names;
    for (const Key& child : key.children) {
      names.push_back(child.name);
      for (const Key::Option& option : child.options) {
        if (option.name == node.text) return cat("write {", child.name, ": ", node.text, "}");
      }
    }
    return key.kind == Key::Kind::object ? cat("its keys are: ", join(names, ", ")) : "";
  }

  bool is_map(Node& node, const Key& key, const std::string& path) {
    if (node.kind == Node::Kind::map) return true;
    wrong_type(node, key, path, node.place);
    return false;
  }

  void object(Node& node, const Key& key, const std::string& path, const Place& place) {
    std::erase_if(node.entries, [&](const Entry& e) { return unsets(e.value, key.child(e.key)); });
    std::set<std::string> meant;
    for (Entry& entry : node.entries) {
      if (const Key* child = key.child(entry.key)) {
        value(entry.value, *child, join_path(path, entry.key), entry.place);
      } else {
        const Suggestion suggestion = suggest_key(entry.key, key);
        report_.error("unknown_key",
                      cat("unknown key '", entry.key, "'", path.empty() ? "" : cat(" in ", path_words(path))),
                      entry.place, suggestion.help);
        meant.insert(suggestion.key);
      }
    }
    missing_keys(node, key, path, place, meant);
  }

  /// `meant`: keys that a misspelt one probably stands for, which are not reported a second time.
  void missing_keys(const Node& node, const Key& key, const std::string& path, const Place& place,
                    const std::set<std::string>& meant) {
    for (const Key& child : key.children) {
      if (!child.rules.required || node.find(child.name) || meant.count(child.name) > 0) continue;
      report_.error("missing_key", cat(path_words(path), " lacks the key '", child.name, "'"), place,
                    cat(child.name, ": ", child.doc));
    }
    for (const auto& group : key.exactly_one) {
      const bool misspelt =
          std::any_of(group.begin(), group.end(), [&](const auto& name) { return meant.count(name) > 0; });
      if (!misspelt) check_group(node, key, path, place, group);
    }
  }

  /// Of each group exactly one key must be given.
  void check_group(const Node& node, const Key& key, const std::string& path, const Place& place,
                   const std::vector<std::string>& group) {
    const Entry* last = nullptr;
    std::vector<std::string> present;
    for (const Entry& entry : node.entries) {
      if (std::find(group.begin(), group.end(), entry.key) == group.end()) continue;
      present.push_back(entry.key);
      if (!last || !is_set(last->place)) last = &entry;
    }
    if (present.empty()) {
      report_.error("missing_key", cat(path_words(path), " needs '", join(group, "' or '"), "'"), place,
                    cat(group[0], ": ", key.child(group[0])->doc));
    } else if (present.size() > 1) {
      const std::string& other = present[0] == last->key ? present[1] : present[0];
      report_.error(
          "conflict", cat(path_words(path), " has both '", join(present, "' and '"), "': give one of them"),
          last->place,
          is_set(last->place) ? cat("--set ", join_path(path, other), "=null unsets the other") : "");
    }
  }

  static bool is_set(const Place& place) { return place.source && place.source->name() == kSetName; }

  void named(Node& node, const Key& key, const std::string& path) {
    std::erase_if(node.entries, [&](const Entry& e) { return unsets(e.value, &key.children[0]); });
    for (Entry& entry : node.entries) {
      const std::string own = join_path(path, entry.key);
      if (entry.key == "llm" || entry.key == "language_model") {
        report_.error("bad_name", cat("an encoder cannot be called '", entry.key, "'"), entry.place,
                      cat("'", entry.key, "' belongs under 'model'"));
      } else if (!is_word(entry.key)) {
        report_.error("bad_name", cat("'", entry.key, "' is no name for an encoder"), entry.place,
                      "a name has letters, digits and '_', and begins with a letter");
      }
      value(entry.value, key.children[0], own, entry.place);
    }
  }

  void list(Node& node, const Key& key, const std::string& path) {
    if (node.kind != Node::Kind::list && !wrap_in_list(node, key, path)) return;
    check_length(node, key, path);
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      Node& item = node.items[i];
      value(item, key.children[0], cat(path, "[", i, "]"), item.place);
      if (item.refused && key.rules.count > 0) node.refused = true;
    }
  }

  /// Reports what should be a list. One value where a list of it should be is read as that list, so that no
  /// later check stumbles over it.
  bool wrap_in_list(Node& node, const Key& key, const std::string& path) {
    const Key& item = key.children[0];
    const bool fits = (node.kind == Node::Kind::map) == item.is_map();
    std::string help;
    if (fits)
      help = node.kind == Node::Kind::map ? "write [{...}], or '-' before its first key"
                                          : cat("write [", node.text, "]");
    if (!fits && node.kind == Node::Kind::scalar)
      help = cat("write [{", item.children[0].name, ": ", node.text, "}]");
    report_.error("wrong_type", cat(path_words(path), " must be ", type_words(key), ", ", kind_words(node)),
                  node.place, help);
    if (!fits) {
      node.refused = true;
      return false;
    }
    Node only = std::move(node);
    node = Node::of(Node::Kind::list);
    node.place = only.place;
    node.items.push_back(std::move(only));
    return true;
  }

  void check_length(Node& node, const Key& key, const std::string& path) {
    const std::size_t n = node.items.size();
    if (key.rules.count > 0 && n != key.rules.count) {
      report_.error("out_of_range", cat(path_words(path), " must be ", type_words(key), ", not of ", n),
                    node.place);
      node.refused = true;
    } else if (key.rules.not_empty && n == 0) {
      report_.error("out_of_range", cat(path_words(path), " must not be empty"), node.place);
    }
  }

  void scalar(Node& node, const Key& key, const std::string& path) {
    if (node.kind != Node::Kind::scalar) return wrong_type(node, key, path, node.place);
    switch (key.kind) {
      case Key::Kind::boolean:
        if (node.quoted || !parse_bool(node.text)) wrong_type(node, key, path, node.place);
        return;
      case Key::Kind::integer:
        return integer(node, key, path);
      case Key::Kind::number:
        return number(node, key, path);
      case Key::Kind::choice:
        return choice(node, key, path);
      default:
        return text(node, key, path);
    }
  }

  void integer(Node& node, const Key& key, const std::string& path) {
    const auto parsed = node.quoted ? std::nullopt : parse_integer(node.text);
    const bool digits = !node.text.empty() &&
                        node.text.find_first_not_of("0123456789", node.text[0] == '-') == std::string::npos;
    if (!parsed && (node.quoted || !digits || node.text.size() < 19))
      return wrong_type(node, key, path, node.place);
    const std::uint64_t limit = key.unsigned_64 ? std::numeric_limits<std::uint64_t>::max()
                                                : std::uint64_t{std::numeric_limits<int>::max()};
    if (!parsed || parsed->magnitude > limit) {
      const bool low = node.text[0] == '-';
      return out_of_range(
          node, path,
          low ? cat("at least ", key.unsigned_64 ? "0" : cat("-", limit)) : cat("at most ", limit));
    }
    if (key.unsigned_64 && parsed->negative) return out_of_range(node, path, "at least 0");
    const double value = (parsed->negative ? -1.0 : 1.0) * static_cast<double>(parsed->magnitude);
    check_range(node, key, path, value);
  }

  void number(Node& node, const Key& key, const std::string& path) {
    const auto parsed = node.quoted ? std::nullopt : parse_number(node.text);
    if (!parsed) return wrong_type(node, key, path, node.place);
    check_range(node, key, path, *parsed);
  }

  void check_range(Node& node, const Key& key, const std::string& path, double value) {
    const Rules& r = key.rules;
    const bool fits = (!r.min || value >= *r.min) && (!r.above || value > *r.above) &&
                      (!r.max || value <= *r.max) && (!r.below || value < *r.below);
    if (!fits) out_of_range(node, path, range_words(key));
  }

  void out_of_range(Node& node, const std::string& path, const std::string& range) {
    report_.error("out_of_range", cat(path_words(path), " must be ", range, ", not ", node.text), node.place);
    node.refused = true;
  }

  void choice(Node& node, const Key& key, const std::string& path) {
    for (const Key::Option& option : key.options)
      if (option.name == node.text) return;
    report_.error("bad_value", cat(path_words(path), " cannot be '", node.text, "'"), node.place,
                  suggest_choice(node.text, key));
    node.refused = true;
  }

  void text(Node& node, const Key& key, const std::string& path) {
    if (!node.quoted && reads_as_value(node.text)) return wrong_type(node, key, path, node.place);
    if (is_path(key) && !expand(node, path)) return;
    if (node.text.empty()) {
      report_.error("out_of_range", cat(path_words(path), " must not be empty"), node.place);
      node.refused = true;
    } else if (is_path(key)) {
      const bool to_current = key.rules.text == Text::output_path || is_set(node.place);
      node.text = absolute(node.text, to_current ? bases_.current : bases_.file);
    }
  }

  bool expand(Node& node, const std::string& path) {
    auto expanded = expand_path(node.text);
    if (!expanded) {
      const NotExpanded& problem = expanded.error();
      report_.error("bad_path", cat(path_words(path), ": ", problem.message),
                    narrowed(node.place, problem.part), problem.help);
      node.refused = true;
      return false;
    }
    node.text = std::move(*expanded);
    return true;
  }

  static std::string absolute(const std::string& path, const std::filesystem::path& base) {
    std::string out = (base / path).lexically_normal().string();
    while (out.size() > 1 && out.back() == '/') out.pop_back();
    return out;
  }

  /// A value of a free map: any, as long as JSON can hold it and nobody can misread it.
  void json(Node& node, const std::string& path) {
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string own = cat(path, "[", i, "]");
      where_.set(own, node.items[i].place);
      json(node.items[i], own);
    }
    for (Entry& entry : node.entries) {
      const std::string own = join_path(path, entry.key);
      where_.set(own, entry.value.kind == Node::Kind::map ? entry.place : entry.value.place);
      json(entry.value, own);
    }
    if (node.kind != Node::Kind::scalar || node.quoted) return;
    const std::string help = clearer_spelling(node.text);
    if (help.empty()) return;
    report_.error("wrong_type", cat(path_words(path), " is unclear: '", node.text, "'"), node.place,
                  cat(help, ", or put it in quotes"));
    node.refused = true;
  }

  const Bases& bases_;
  SourceMap& where_;
  Report& report_;
};

}  // namespace

void conform(Node& root, const Bases& bases, SourceMap& where, Report& report) {
  const Place place = whole(root.place.source);
  Conformer(bases, where, report).value(root, outline(), "", place);
}

}  // namespace cornstarch::config
