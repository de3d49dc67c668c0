#pragma once

#include <string>

#include "cornstarch/dataio/preprocess.h"
#include "preprocessor_json.h"

/// What every picture's preprocessor_config.json may say. Those that read return what is wrong, or "".
namespace cornstarch::dataio {

/// `resample`.
std::string read_filter(const Json& json, Filter& filter);

std::string read_values(const Json& json, PixelValues& values);
void write_values(nlohmann::ordered_json& json, const PixelValues& values);

}  // namespace cornstarch::dataio
