#include "cornstarch/base/random.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

#include "cornstarch/base/text.h"
#include "philox.h"

namespace cornstarch {
namespace {

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

/// The finaliser of splitmix64: every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::uint64_t word(const std::array<std::uint32_t, 4>& block, std::size_t half) {
  return (std::uint64_t{block[2 * half + 1]} << 32) | block[2 * half];
}

double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = kMultiplier0 * c[0];
    const std::uint64_t p1 = kMultiplier1 * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += 0x9E3779B9;  // Weyl sequence: golden ratio, sqrt(3) - 1
    key[1] += 0xBB67AE85;
  }
  return c;
}

Philox::Philox(std::uint64_t seed, std::string_view name) : key_(mix(seed ^ mix(fnv1a(name)))) {}

std::array<std::uint32_t, 4> Philox::block(std::uint64_t index) const {
  return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 0},
                    {static_cast<std::uint32_t>(key_), static_cast<std::uint32_t>(key_ >> 32)});
}

double Philox::uniform(std::uint64_t index) const { return unit(word(block(index / 2), index % 2)); }

double Philox::normal(std::uint64_t index) const {
  const auto bits = block(index / 2);
  const double radius = std::sqrt(-2.0 * std::log(1.0 - unit(word(bits, 0))));
  const double angle = 2.0 * std::numbers::pi * unit(word(bits, 1));
  return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::int64_t> out(n > 0 ? static_cast<std::size_t>(n) : 0);
  std::iota(out.begin(), out.end(), std::int64_t{0});
  const Philox random(seed, cat("permutation of epoch ", epoch));
  for (std::size_t i = out.size(); i > 1; --i) {
    // The high half of the product is a number below i, biased by less than i / 2^64.
    const auto product = static_cast<unsigned __int128>(word(random.block(i), 0)) * i;
    std::swap(out[i - 1], out[static_cast<std::size_t>(product >> 64)]);
  }
  return out;
}

}  // namespace cornstarch
