#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cornstarch/report/run.h"

namespace cornstarch::report {

/// What is told of a run in words, by label: how far it came, what it reached, how fast it was, where it ran.
std::vector<std::pair<std::string, std::string>> summary_of(const Run& run);

}  // namespace cornstarch::report
