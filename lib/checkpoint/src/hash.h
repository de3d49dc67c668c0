#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace cornstarch::checkpoint {

/// XXH3 of 128 bits (xxHash), as 32 hexadecimal digits: finds accidents, not forgery.
std::string hash_of(std::span<const std::byte> bytes);
std::string hash_of(std::string_view text);

}  // namespace cornstarch::checkpoint
