#pragma once

#include <memory>
#include <optional>
#include <string>

#include "node.h"
#include "report.h"

namespace cornstarch::config {

/// The one document of a YAML text; `null` for an empty one, nothing if it is no YAML. What YAML allows and
/// we do not (duplicate keys, merge keys, tags, several documents, bombs) is reported too. `source` holds the
/// text, which begins at column `column` of line `line` there.
std::optional<Node> read_yaml(const std::string& text, const std::shared_ptr<const SourceText>& source,
                              int line, int column, Report& report);

}  // namespace cornstarch::config
