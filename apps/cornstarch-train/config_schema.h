#pragma once

#include <string>

namespace cornstarch::app {

/// The JSON Schema of the config, with the model families that this build knows and the keys that `config:`
/// may have for each: the config's own room stands above the catalog and cannot know them.
std::string config_schema();

}  // namespace cornstarch::app
