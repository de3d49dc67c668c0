#include "aliases.h"

#include <set>

#include "cornstarch/base/text.h"
#include "suggest.h"

namespace cornstarch::config {
namespace {

/// Cornstarch's `pipeline_template: {model_name, modules_per_stage}` becomes the list of stages. The model's
/// name says nothing that `family` does not say.
void unwrap_template(Node& value, const Place& key_place, const std::string& path, Report& report) {
  const auto misused = [&](const std::string& message, const Place& place) {
    report.error("wrong_type", message, place,
                 "write {model_name: ..., modules_per_stage: [[...], [...]]}, or 'stages'");
    value.refused = true;
  };
  if (value.kind != Node::Kind::map) {
    return misused(cat("'", path, ".pipeline_template' must be a map with 'modules_per_stage'"), value.place);
  }
  bool misspelt = false;
  for (const Entry& entry : value.entries) {
    if (entry.key == "model_name" && entry.value.kind != Node::Kind::scalar) {
      report.error("wrong_type", cat("'", path, ".pipeline_template.model_name' must be text"),
                   entry.value.place);
    }
    if (entry.key == "modules_per_stage" || entry.key == "model_name") continue;
    const std::string help = did_you_mean(entry.key, {"modules_per_stage", "model_name"});
    report.error("unknown_key", cat("unknown key '", entry.key, "' in '", path, ".pipeline_template'"),
                 entry.place, help.empty() ? "known here: model_name, modules_per_stage" : help);
    misspelt = misspelt || nearest(entry.key, {"modules_per_stage"}).has_value();
  }
  const Entry* stages = value.find("modules_per_stage");
  if (!stages && misspelt) {
    value.refused = true;
    return;
  }
  if (!stages) return misused(cat("'", path, ".pipeline_template' lacks 'modules_per_stage'"), key_place);
  Node list = stages->value;  // a copy: it lives inside of what is replaced
  value = std::move(list);
}

void translate_object(Node& node, const Key& object, const std::string& path, Report& report) {
  std::set<std::string> seen;
  for (const Entry& entry : node.entries) {
    if (const Key* key = object.child(entry.key); key && key->name == entry.key) seen.insert(entry.key);
  }
  std::vector<Entry> kept;
  std::map<std::string, std::string> by_alias;
  for (Entry& entry : node.entries) {
    const Key* key = object.child(entry.key);
    if (key && key->name != entry.key) {
      const auto [first, is_new] = by_alias.emplace(key->name, entry.key);
      if (seen.count(key->name) > 0 || !is_new) {
        const std::string& other = is_new ? key->name : first->second;
        report.error("duplicate_key",
                     cat("'", entry.key, "' and '", other, "' are the same key: give one of them"),
                     entry.place);
        continue;
      }
      if (entry.key == "pipeline_template") unwrap_template(entry.value, entry.place, path, report);
      entry.key = key->name;
    }
    if (key) translate_aliases(entry.value, *key, join_path(path, entry.key), report);
    kept.push_back(std::move(entry));
  }
  node.entries = std::move(kept);
}

}  // namespace

void translate_aliases(Node& node, const Key& key, const std::string& path, Report& report) {
  if (key.kind == Key::Kind::object && node.kind == Node::Kind::map) {
    translate_object(node, key, path, report);
  } else if (key.kind == Key::Kind::named && node.kind == Node::Kind::map) {
    for (Entry& entry : node.entries) {
      translate_aliases(entry.value, key.children[0], join_path(path, entry.key), report);
    }
  } else if (key.kind == Key::Kind::list && node.kind == Node::Kind::list) {
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      translate_aliases(node.items[i], key.children[0], cat(path, "[", i, "]"), report);
    }
  }
}

std::string join_path(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : cat(parent, ".", name);
}

std::string path_words(const std::string& path) { return path.empty() ? "the config" : cat("'", path, "'"); }

}  // namespace cornstarch::config
