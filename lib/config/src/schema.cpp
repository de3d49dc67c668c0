#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "outline.h"
#include "scalars.h"

namespace cornstarch::config {
namespace {

using Json = nlohmann::ordered_json;

Json schema_of(const Key& key);

Json number_json(const Key& key, double value) {
  return key.kind == Key::Kind::integer ? Json(static_cast<std::int64_t>(value)) : Json(value);
}

void add_range(const Key& key, Json& out) {
  const Rules& r = key.rules;
  if (r.min) out["minimum"] = number_json(key, *r.min);
  if (r.above) out["exclusiveMinimum"] = number_json(key, *r.above);
  if (r.max) out["maximum"] = number_json(key, *r.max);
  if (r.below) out["exclusiveMaximum"] = number_json(key, *r.below);
  if (key.kind != Key::Kind::integer) return;
  if (!out.contains("minimum")) {
    out["minimum"] = key.unsigned_64 ? Json(0) : Json(std::numeric_limits<int>::min());
  }
  if (!out.contains("maximum")) {
    out["maximum"] = key.unsigned_64 ? Json(std::numeric_limits<std::uint64_t>::max())
                                     : Json(std::numeric_limits<int>::max());
  }
}

/// A default as JSON; nothing where the description says it in words.
void add_default(const Key& key, Json& out) {
  if (key.fallback.empty() || !key.rules.fallback.empty() || key.is_map()) return;
  if (key.kind == Key::Kind::text || key.kind == Key::Kind::choice) {
    out["default"] = key.fallback;
  } else {
    out["default"] = Json::parse(key.fallback);
  }
}

/// Cornstarch's way to write the stages.
Json template_schema(const Json& stages) {
  return {{"type", "object"},
          {"description", "The same as stages, as Cornstarch writes it; model_name is ignored."},
          {"properties", {{"model_name", {{"type", "string"}}}, {"modules_per_stage", stages}}},
          {"required", {"modules_per_stage"}},
          {"additionalProperties", false}};
}

/// One of the names must be there: a key by its name or by an alias.
Json one_required(const std::vector<const Key*>& keys) {
  Json options = Json::array();
  const auto add = [&](const Key& key, const std::string& name) {
    Json given = {{"required", {name}}};
    if (key.nullable) given["properties"] = {{name, {{"not", {{"type", "null"}}}}}};
    options.push_back(given);
  };
  for (const Key* key : keys) {
    add(*key, key->name);
    for (const std::string& alias : key->rules.aliases) add(*key, alias);
  }
  return {{"oneOf", options}};
}

void add_object(const Key& object, Json& out) {
  out["type"] = "object";
  out["additionalProperties"] = false;
  Json properties = Json::object();
  Json required = Json::array();
  Json conditions = Json::array();
  for (const Key& child : object.children) {
    Json schema = schema_of(child);
    properties[child.name] = schema;
    for (const std::string& alias : child.rules.aliases) {
      const bool is_template = alias == "pipeline_template";
      properties[alias] = is_template ? template_schema(schema) : schema;
      if (!is_template)
        properties[alias]["description"] = cat("The same as ", child.name, ", as Cornstarch calls it.");
    }
    if (child.rules.required && child.rules.aliases.empty()) required.push_back(child.name);
    if (child.rules.required && !child.rules.aliases.empty()) conditions.push_back(one_required({&child}));
  }
  for (const auto& group : object.exactly_one) {
    std::vector<const Key*> keys;
    for (const std::string& name : group) keys.push_back(object.child(name));
    conditions.push_back(one_required(keys));
  }
  out["properties"] = properties;
  if (!required.empty()) out["required"] = required;
  if (!conditions.empty()) out["allOf"] = conditions;
}

void add_list(const Key& key, Json& out) {
  out["type"] = "array";
  out["items"] = schema_of(key.children[0]);
  if (key.rules.count > 0) {
    out["minItems"] = key.rules.count;
    out["maxItems"] = key.rules.count;
  } else if (key.rules.not_empty) {
    out["minItems"] = 1;
  }
}

void add_options(const Key& key, Json& out) {
  std::vector<std::string> docs;
  Json names = Json::array();
  for (const Key::Option& option : key.options) {
    names.push_back(option.name);
    docs.push_back(cat(option.name, ": ", option.doc));
  }
  out["enum"] = names;
  out["description"] = cat(key.doc, " ", join(docs, "; "), ".");
}

void add_type(const Key& key, Json& out) {
  switch (key.kind) {
    case Key::Kind::boolean:
      out["type"] = "boolean";
      return;
    case Key::Kind::integer:
    case Key::Kind::number:
      out["type"] = key.kind == Key::Kind::integer ? "integer" : "number";
      return add_range(key, out);
    case Key::Kind::text:
      out["type"] = "string";
      out["minLength"] = 1;
      return;
    case Key::Kind::choice:
      return add_options(key, out);
    case Key::Kind::json:
      out["type"] = "object";
      return;
    case Key::Kind::named:
      out["type"] = "object";
      out["propertyNames"] = {{"pattern", "^[A-Za-z_][A-Za-z0-9_]*$"},
                              {"not", {{"enum", {"llm", "language_model"}}}}};
      out["additionalProperties"] = schema_of(key.children[0]);
      return;
    case Key::Kind::list:
      return add_list(key, out);
    case Key::Kind::object:
      return add_object(key, out);
  }
}

/// What may be left out may be null.
void allow_null(Json& out) {
  if (out.contains("type")) out["type"] = {out["type"], "null"};
  if (out.contains("enum")) out["enum"].push_back(nullptr);
}

Json schema_of(const Key& key) {
  Json out = Json::object();
  if (!key.doc.empty()) out["description"] = key.doc;
  add_type(key, out);
  if (key.nullable) allow_null(out);
  add_default(key, out);
  return out;
}

}  // namespace

std::string json_schema() {
  Json out = {
      {"$schema", "http://json-schema.org/draft-07/schema#"},
      {"title", "cornstarch-train run config"},
      {"description", "One run of cornstarch-train: the model, its layout, the data and the training."}};
  add_object(outline(), out);
  return out.dump(2) + "\n";
}

}  // namespace cornstarch::config
