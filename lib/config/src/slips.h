#pragma once

#include <optional>
#include <string>

namespace cornstarch::config {

/// A key that is not set off from its value: "steps:1000", "steps=1000".
struct Unspaced {
  std::string key;
  std::string mended;  ///< "steps: 1000"
};

/// If `text`, a key or a line of a file, is such a one.
std::optional<Unspaced> unspaced(const std::string& text);

/// A range of modules as other programs write it, in our spelling.
struct ForeignRange {
  std::string written;  ///< "layers[0:2]"
  std::string mended;   ///< "layers.0..1"
};

/// The first such range in `text`, which may be a line of a file.
std::optional<ForeignRange> foreign_range(const std::string& text);

}  // namespace cornstarch::config
