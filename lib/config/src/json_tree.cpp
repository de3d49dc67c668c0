#include <nlohmann/json.hpp>

#include "bind.h"
#include "scalars.h"

namespace cornstarch::config {
namespace {

using Json = nlohmann::ordered_json;

Json scalar_to_json(const Node& node) {
  if (node.quoted) return node.text;
  if (const auto flag = parse_bool(node.text)) return *flag;
  if (const auto integer = parse_integer(node.text)) {
    if (!integer->negative) return integer->magnitude;
    if (integer->magnitude <= std::uint64_t{1} << 63)
      return static_cast<std::int64_t>(0 - integer->magnitude);
  }
  if (const auto number = parse_number(node.text)) return *number;
  return node.text;
}

Json to_json(const Node& node) {
  if (node.refused) return nullptr;
  switch (node.kind) {
    case Node::Kind::null:
      return nullptr;
    case Node::Kind::scalar:
      return scalar_to_json(node);
    case Node::Kind::list: {
      Json out = Json::array();
      for (const Node& item : node.items) out.push_back(to_json(item));
      return out;
    }
    case Node::Kind::map:
      break;
  }
  Json out = Json::object();
  for (const Entry& entry : node.entries) out[entry.key] = to_json(entry.value);
  return out;
}

Node from_json(const Json& json) {
  Node out;
  if (json.is_object()) {
    out.kind = Node::Kind::map;
    for (const auto& [key, value] : json.items()) out.entries.push_back({key, {}, from_json(value)});
  } else if (json.is_array()) {
    out.kind = Node::Kind::list;
    for (const Json& item : json) out.items.push_back(from_json(item));
  } else if (json.is_string()) {
    out = Node::scalar(json.get<std::string>(), true);
  } else if (json.is_number_float()) {
    out = Node::scalar(format_number(json.get<double>()));
  } else if (!json.is_null()) {
    out = Node::scalar(json.dump());
  }
  return out;
}

}  // namespace

std::string to_json_text(const Node& node) { return to_json(node).dump(); }

Node from_json_text(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  return json.is_discarded() ? Node::of(Node::Kind::map) : from_json(json);
}

}  // namespace cornstarch::config
