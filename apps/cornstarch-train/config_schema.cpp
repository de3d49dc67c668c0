#include "config_schema.h"

#include <nlohmann/json.hpp>

#include "cornstarch/catalog/families.h"
#include "cornstarch/config/load.h"

namespace cornstarch::app {

namespace {

using Json = nlohmann::ordered_json;

/// Adds what is known of encoders, or of language models, to the section that declares one.
void add_families(Json& section, bool llm) {
  Json names = Json::array();
  for (const catalog::FamilyInfo& family : catalog::families()) {
    if ((family.kind == catalog::ModelKind::llm) != llm) continue;
    names.push_back(family.name);
    Json keys = Json::object();
    const auto known = catalog::make_spec(family.name, "{}").known_keys;
    for (const std::string& key : known) keys[key] = Json::object();
    section["allOf"].push_back({{"if", {{"properties", {{"family", {{"const", family.name}}}}}}},
                                {"then", {{"properties", {{"config", {{"properties", keys}}}}}}}});
  }
  section["properties"]["family"]["enum"] = names;
}

}  // namespace

std::string config_schema() {
  Json schema = Json::parse(config::json_schema());
  Json& model = schema["properties"]["model"]["properties"];
  add_families(model["encoders"]["additionalProperties"], false);
  add_families(model["llm"], true);
  return schema.dump(2) + "\n";
}

}  // namespace cornstarch::app
