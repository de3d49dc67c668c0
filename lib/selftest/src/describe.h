#pragma once

#include <string>

#include "cornstarch/selftest/selftest.h"

namespace cornstarch::selftest {

/// Of links that are alike, so many are named one by one.
inline constexpr std::size_t kMostNamed = 20;

/// "rank 3 of n2".
std::string rank_of_host(const Report& report, int rank);

}  // namespace cornstarch::selftest
