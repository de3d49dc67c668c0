#pragma once

#include <string>

#include "cornstarch/base/diagnostics.h"

namespace cornstarch::catalog {

/// What to do where a path that does not exist looks like a name on Hugging Face's hub ("openai/clip-vit"):
/// how to download `files` ("" for all) to where the config looks. "" if `where`, the place of the path in
/// the config, has none.
std::string download_help(const SourceSpan& where, const std::string& path, const std::string& files);

}  // namespace cornstarch::catalog
