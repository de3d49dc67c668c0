#pragma once

#include <string>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::catalog {

std::vector<std::string> names_of(const ModelSpec& spec);

/// "model.layers.7" -> "model.layers.#": what modules of other depths have in common.
std::string without_number(const std::string& module);

/// The layers of the same kind that a model has, compressed ("model.layers.0..15"), or "".
std::string siblings(const std::string& module, const std::vector<std::string>& names);

/// Compressed and joined, for a message.
std::string listed(const std::vector<std::string>& names);

}  // namespace cornstarch::catalog
