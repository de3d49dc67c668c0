#pragma once

#include <string>

#include "cornstarch/config/run_config.h"
#include "node.h"

namespace cornstarch::config {

/// The values of a tree that conforms to the outline; what is absent or refused keeps its default.
RunConfig bind(const Node& root);

/// The tree that binds to `config`, with every key; what is not set is left out.
Node to_tree(const RunConfig& config);

/// A tree as JSON text, and back.
std::string to_json_text(const Node& node);
Node from_json_text(const std::string& text);

}  // namespace cornstarch::config
