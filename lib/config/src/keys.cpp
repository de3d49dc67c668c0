#include "aliases.h"
#include "cornstarch/config/load.h"
#include "outline.h"

namespace cornstarch::config {
namespace {

void collect(const Key& key, const std::string& path, std::vector<KeyInfo>& out) {
  if (key.kind == Key::Kind::object) {
    for (const Key& child : key.children) collect(child, join_path(path, child.name), out);
  } else if (key.kind == Key::Kind::named) {
    collect(key.children[0], join_path(path, "*"), out);
  } else {
    KeyInfo info{path, {}, is_path(key), key.kind == Key::Kind::json};
    if (key.kind == Key::Kind::boolean) info.values = {"true", "false"};
    for (const Key::Option& option : key.options) info.values.push_back(option.name);
    out.push_back(std::move(info));
  }
}

}  // namespace

std::vector<KeyInfo> keys() {
  std::vector<KeyInfo> out;
  collect(outline(), "", out);
  return out;
}

}  // namespace cornstarch::config
