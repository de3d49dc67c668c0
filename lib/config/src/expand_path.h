#pragma once

#include <string>
#include <tl/expected.hpp>

namespace cornstarch::config {

/// What cannot be expanded: the part of the text, what is wrong with it and what to write.
struct NotExpanded {
  std::string part;
  std::string message;
  std::string help;
};

/// A path as written, with `~` at its beginning, `${VAR}`, `${VAR:-default}` and `$$` replaced. A variable
/// that is empty counts as not set. The default is expanded like the path.
tl::expected<std::string, NotExpanded> expand_path(const std::string& written);

/// What expands to `path`, which is absolute.
std::string unexpanded(const std::string& path);

}  // namespace cornstarch::config
