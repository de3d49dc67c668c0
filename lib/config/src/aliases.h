#pragma once

#include "node.h"
#include "outline.h"
#include "report.h"

namespace cornstarch::config {

/// Renames the aliases in `node`, which stands for `key`, to canonical keys. An alias beside its key is an
/// error.
void translate_aliases(Node& node, const Key& key, const std::string& path, Report& report);

/// "model.llm" + "parallel" -> "model.llm.parallel".
std::string join_path(const std::string& parent, const std::string& name);

/// The name by which messages call a path: quoted, or "the config" for the top.
std::string path_words(const std::string& path);

}  // namespace cornstarch::config
