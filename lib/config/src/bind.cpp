#include "bind.h"

#include "cornstarch/base/text.h"
#include "expand_path.h"
#include "fields.h"
#include "scalars.h"

namespace cornstarch::config {
namespace {

template <typename T>
void bind_value(const Node& node, const Rules& rules, T& out);

template <Described T>
void bind_struct(const Node& node, T& out) {
  for_each_field<T>([&](const auto& f) {
    const Entry* entry = node.find(f.name);
    if (entry && entry->value.kind != Node::Kind::null) bind_value(entry->value, f.rules, out.*f.member);
  });
}

template <typename T>
void bind_number(const std::string& text, T& out) {
  if constexpr (std::is_same_v<T, bool>) {
    out = parse_bool(text).value_or(out);
  } else if constexpr (std::is_floating_point_v<T>) {
    out = parse_number(text).value_or(out);
  } else if (const auto parsed = parse_integer(text)) {
    out = static_cast<T>(parsed->negative ? T{0} - static_cast<T>(parsed->magnitude)
                                          : static_cast<T>(parsed->magnitude));
  }
}

template <typename T>
void bind_value(const Node& node, const Rules& rules, T& out) {
  if (node.refused) return;
  if constexpr (is_optional<T>) {
    out.emplace();
    bind_value(node, rules, *out);
  } else if constexpr (is_vector<T>) {
    using Item = typename T::value_type;
    out.clear();
    if constexpr (Named<Item>) {
      for (const Entry& entry : node.entries) {
        Item& item = out.emplace_back();
        item.*Describe<Item>::key() = entry.key;
        if (!entry.value.refused) bind_struct(entry.value, item);
      }
    } else {
      for (const Node& each : node.items) {
        if (!each.refused) bind_value(each, rules, out.emplace_back());
      }
    }
  } else if constexpr (Described<T>) {
    bind_struct(node, out);
  } else if constexpr (std::is_enum_v<T>) {
    for (const auto& choice : Choices<T>::values) {
      if (node.text == choice.name) out = choice.value;
    }
  } else if constexpr (std::is_same_v<T, std::string>) {
    out = rules.text == Text::json ? to_json_text(node) : node.text;
  } else {
    bind_number(node.text, out);
  }
}

template <typename T>
Node tree_of(const T& value, const Rules& rules);

template <Described T>
Node tree_of_struct(const T& value) {
  Node out = Node::of(Node::Kind::map);
  for_each_field<T>([&](const auto& f) {
    Node child = tree_of(value.*f.member, f.rules);
    if (child.kind != Node::Kind::null) out.entries.push_back({f.name, {}, std::move(child)});
  });
  return out;
}

template <typename T>
Node tree_of(const T& value, const Rules& rules) {
  if constexpr (is_optional<T>) {
    return value ? tree_of(*value, rules) : Node();
  } else if constexpr (is_vector<T>) {
    using Item = typename T::value_type;
    Node out = Node::of(Named<Item> ? Node::Kind::map : Node::Kind::list);
    for (const Item& item : value) {
      if constexpr (Named<Item>) {
        out.entries.push_back({item.*Describe<Item>::key(), {}, tree_of_struct(item)});
      } else {
        out.items.push_back(tree_of(item, rules));
      }
    }
    return out;
  } else if constexpr (Described<T>) {
    return tree_of_struct(value);
  } else if constexpr (std::is_enum_v<T>) {
    return Node::scalar(name_of(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return Node::scalar(value ? "true" : "false");
  } else if constexpr (std::is_integral_v<T>) {
    return Node::scalar(std::to_string(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    return Node::scalar(format_number(value));
  } else {
    if (rules.text == Text::json) return from_json_text(value);
    return Node::scalar(rules.text == Text::name ? value : unexpanded(value), true);
  }
}

}  // namespace

RunConfig bind(const Node& root) {
  RunConfig out;
  bind_struct(root, out);
  for (Encoder& encoder : out.model.encoders) {
    if (encoder.placeholder.empty()) encoder.placeholder = cat("<", encoder.name, ">");
  }
  return out;
}

Node to_tree(const RunConfig& config) { return tree_of_struct(config); }

}  // namespace cornstarch::config
