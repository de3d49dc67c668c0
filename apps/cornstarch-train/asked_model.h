#pragma once

#include <optional>
#include <string>

#include "cornstarch/base/diagnostics.h"
#include "cornstarch/base/result.h"
#include "cornstarch/config/run_config.h"

namespace cornstarch::app {

/// What loads the model that a user means by a path, on one device, with weights in `pretrained` folders: a
/// run's folder (the model that it wrote), a config (the weights that it names), or the Hugging Face folder
/// of a language model or a whole checkpoint. Nothing, and `diagnostics`, where a config has errors.
Result<std::optional<config::RunConfig>> config_of_model(const std::string& path, Diagnostics& diagnostics);

}  // namespace cornstarch::app
