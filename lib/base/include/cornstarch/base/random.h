#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace cornstarch {

/// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11): a counter-based
/// generator. Draw i is a pure function of (key, i), so any slice of a tensor can be drawn by itself, on any
/// rank.
class Philox {
 public:
  explicit Philox(std::uint64_t key) : key_(key) {}
  /// A generator for one purpose: the seed of the run and a name, as of a parameter.
  Philox(std::uint64_t seed, std::string_view name);

  std::array<std::uint32_t, 4> block(std::uint64_t index) const;
  /// Uniform in [0, 1), with 53 bits; draw `index`.
  double uniform(std::uint64_t index) const;
  /// Standard normal (Box-Muller); draw `index`, the same bits on every machine. Made of the bits of the
  /// uniform draws: take one kind per key.
  double normal(std::uint64_t index) const;

  std::uint64_t key() const { return key_; }

 private:
  std::uint64_t key_;
};

/// A permutation of 0..n-1 that depends on (seed, epoch) alone.
std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::uint64_t epoch);

}  // namespace cornstarch
