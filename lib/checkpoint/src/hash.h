#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cornstarch/checkpoint/checkpoint.h"

namespace cornstarch::checkpoint {

/// What is hashed, written or read at once, before it is asked whether to give up.
constexpr std::size_t kAtOnce = std::size_t{4} << 20;

/// XXH3 of 128 bits (xxHash), as 32 hexadecimal digits: finds accidents, not forgery.
class Hash {
 public:
  Hash();
  ~Hash();
  void add(std::span<const std::byte> bytes);
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "" where it was given up.
std::string hash_of(std::span<const std::byte> bytes, const GivesUp& gives_up = {});
std::string hash_of(std::string_view text);

}  // namespace cornstarch::checkpoint
