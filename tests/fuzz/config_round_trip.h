#pragma once

#include "cornstarch/config/load.h"
#include "input.h"

namespace cornstarch::fuzz {

/// A config that is accepted is dumped as a config that is accepted, and dumped the same.
inline void require_round_trip(const config::RunConfig& config) {
  const std::string dumped = config::dump(config);
  Diagnostics none;
  const auto again = config::load_text(dumped, "dump.yaml", "/elsewhere", {}, none);
  require(again && !none.has_errors());
  require(config::dump(again->config) == dumped);
}

}  // namespace cornstarch::fuzz
