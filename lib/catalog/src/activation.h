#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::catalog {

/// The activation that HF's ACT2FN gives for `name`; names of the same function (or of roundings of the same
/// formula) are one activation here.
std::optional<Activation> parse_activation(const std::string& name);

/// The names that parse_activation knows.
const std::vector<std::string>& activation_names();

}  // namespace cornstarch::catalog
