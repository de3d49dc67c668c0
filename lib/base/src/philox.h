#pragma once

#include <array>
#include <cstdint>

namespace cornstarch {

/// The bijection behind Philox: ten rounds of philox4x32, as in Random123.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

}  // namespace cornstarch
