#pragma once

#include <filesystem>
#include <string>

#include "cornstarch/checkpoint/checkpoint.h"

namespace cornstarch::checkpoint {

constexpr const char* kManifest = "manifest.json";

/// The manifest as JSON; its last member is the hash of all text before it.
std::string to_text(const Manifest& manifest);

/// The manifest of a whole checkpoint, with its own hash checked, and that every part is there in its size.
Result<Manifest> read_manifest(const std::filesystem::path& folder);

}  // namespace cornstarch::checkpoint
