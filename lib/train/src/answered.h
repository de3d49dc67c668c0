#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cornstarch::train {

/// A line of a file of answers: behind `from`, which says where the question stands, that and what was
/// answered; `cut_off` if the answer has no end; where right ones are known, these and the scores beside
/// them.
nlohmann::ordered_json answered(nlohmann::ordered_json from, const std::string& question,
                                const std::string& answer, bool cut_off,
                                const std::vector<std::string>& right);

/// As one line, whatever bytes a model has said.
std::string to_line(const nlohmann::ordered_json& json);

}  // namespace cornstarch::train
