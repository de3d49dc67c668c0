#include "cornstarch/base/random.h"

#include <numeric>
#include <utility>

#include "cornstarch/base/normal_draw.h"
#include "cornstarch/base/text.h"

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

}  // namespace

Philox::Philox(std::uint64_t seed, std::string_view name) : key_(mix(seed ^ mix(fnv1a(name)))) {}

std::array<std::uint32_t, 4> Philox::block(std::uint64_t index) const { return philox_block(key_, index); }

double Philox::uniform(std::uint64_t index) const {
  return static_cast<double>(bits53(block(index / 2), static_cast<int>(index % 2))) * 0x1p-53;
}

double Philox::normal(std::uint64_t index) const { return normal_pair(block(index / 2))[index % 2]; }

std::vector<std::int64_t> permutation(std::int64_t n, std::uint64_t seed, std::uint64_t epoch) {
  std::vector<std::int64_t> out(n > 0 ? static_cast<std::size_t>(n) : 0);
  std::iota(out.begin(), out.end(), std::int64_t{0});
  const Philox random(seed, cat("permutation of epoch ", epoch));
  for (std::size_t i = out.size(); i > 1; --i) {
    // The high half of the product is a number below i, biased by less than i / 2^64.
    const auto block = random.block(i);
    const std::uint64_t word = (std::uint64_t{block[1]} << 32) | block[0];
    const auto product = static_cast<unsigned __int128>(word) * i;
    std::swap(out[i - 1], out[static_cast<std::size_t>(product >> 64)]);
  }
  return out;
}

}  // namespace cornstarch
