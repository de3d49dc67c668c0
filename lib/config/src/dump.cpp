#include <nlohmann/json.hpp>
#include <string_view>

#include "bind.h"
#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "fields.h"
#include "scalars.h"

namespace cornstarch::config {
namespace {

constexpr std::size_t kFlowWidth = 100;  // lists that fit are written in one line

/// Whether a text reads as itself without quotes, in any YAML.
bool is_plain(std::string_view text) {
  constexpr std::string_view kStart = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/";
  constexpr std::string_view kAll = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/0123456789.-+";
  if (text.empty() || kStart.find(text[0]) == std::string_view::npos) return false;
  if (text.find_first_not_of(kAll) != std::string_view::npos) return false;
  return text != "null" && text != "Null" && text != "NULL" && !reads_as_value(text);
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string scalar_text(const Node& node) {
  if (node.kind == Node::Kind::null) return "null";
  return node.quoted && !is_plain(node.text) ? quoted(node.text) : node.text;
}

bool is_nested(const Node& node) {
  return (node.kind == Node::Kind::map && !node.entries.empty()) ||
         (node.kind == Node::Kind::list && !node.items.empty());
}

/// A value without children, or a list of such, in one line; "" if it does not fit.
std::string flow(const Node& node) {
  if (node.kind == Node::Kind::map) return node.entries.empty() ? "{}" : "";
  if (node.kind != Node::Kind::list) return scalar_text(node);
  std::vector<std::string> items;
  for (const Node& item : node.items) {
    if (is_nested(item)) return {};
    items.push_back(flow(item));
  }
  std::string out = cat("[", join(items, ", "), "]");
  return out.size() <= kFlowWidth ? out : std::string();
}

void write(const Node& node, const std::string& indent, std::string& out);

/// What follows "key:" or "-".
void write_child(const Node& node, const std::string& indent, std::string& out) {
  const std::string line = flow(node);
  if (!line.empty()) {
    out += cat(" ", line, "\n");
  } else {
    out += '\n';
    write(node, indent + "  ", out);
  }
}

void write(const Node& node, const std::string& indent, std::string& out) {
  for (const Entry& entry : node.entries) {
    out += cat(indent, is_plain(entry.key) ? entry.key : quoted(entry.key), ":");
    write_child(entry.value, indent, out);
  }
  for (const Node& item : node.items) {
    if (item.kind == Node::Kind::map && is_nested(item)) {
      std::string block;
      write(item, indent + "  ", block);
      block[indent.size()] = '-';  // the first key stands beside the dash
      out += block;
    } else {
      out += cat(indent, "-");
      write_child(item, indent, out);
    }
  }
}

}  // namespace

std::string dump(const RunConfig& config) {
  std::string out;
  write(to_tree(config), "", out);
  return out;
}

template const char* name_of(SpMode);
template const char* name_of(Distribution);
template const char* name_of(AttentionMask);
template const char* name_of(Checkpointing);
template const char* name_of(Packing);
template const char* name_of(Layout);
template const char* name_of(ProjectorType);
template const char* name_of(FeatureSelect);
template const char* name_of(ChatTemplate);
template const char* name_of(Precision);
template const char* name_of(Device);
template const char* name_of(Sharding);
template const char* name_of(ReduceDtype);

std::string checkpoint_folder(const RunConfig& config) {
  return config.checkpoint.dir.value_or(config.run_dir + "/checkpoints");
}

}  // namespace cornstarch::config
