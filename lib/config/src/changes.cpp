#include <map>
#include <memory>

#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "node.h"
#include "read_yaml.h"
#include "report.h"
#include "source.h"

namespace cornstarch::config {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

void flatten(const Node& node, const std::string& path, Values& out) {
  for (const Entry& entry : node.entries)
    flatten(entry.value, path.empty() ? entry.key : cat(path, ".", entry.key), out);
  for (std::size_t i = 0; i < node.items.size(); ++i) flatten(node.items[i], cat(path, "[", i, "]"), out);
  if (node.kind == Node::Kind::scalar) out.emplace_back(path, node.text);
  if (node.kind == Node::Kind::null) out.emplace_back(path, "null");
}

Values values_of(const std::string& dump) {
  Diagnostics ignored;
  const auto source = std::make_shared<const SourceText>("config", dump);
  Report report(ignored);
  const auto node = read_yaml(dump, source, 1, 1, report);
  Values out;
  if (node) flatten(*node, "", out);
  return out;
}

}  // namespace

std::vector<Change> changes(const std::string& before, const std::string& after) {
  std::vector<Change> out;
  const Values old_values = values_of(before), new_values = values_of(after);
  std::map<std::string, std::string> old_by_key(old_values.begin(), old_values.end());
  for (const auto& [key, value] : new_values) {
    const auto found = old_by_key.find(key);
    if (found == old_by_key.end()) {
      out.push_back({key, "", value});
      continue;
    }
    if (found->second != value) out.push_back({key, found->second, value});
    old_by_key.erase(found);
  }
  for (const auto& [key, value] : old_by_key) out.push_back({key, value, ""});
  return out;
}

}  // namespace cornstarch::config
