#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "resolve_context.h"

namespace cornstarch::catalog {

/// projector_config.json, which lies beside projector.safetensors and says what these weights are of.
std::string projector_config(const config::Encoder& encoder, const ModuleSpec& projector);

/// Whether the projector in a pretrained folder is of the config's type and activation; reports if not, and
/// warns where it learnt from other features than it is to be given. `place`: the encoder's `pretrained`;
/// `names`: the projector's tensors there.
bool check_projector(const Context& context, const std::string& path, const config::Encoder& encoder,
                     const std::filesystem::path& place, const std::vector<std::string>& names);

}  // namespace cornstarch::catalog
