#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

/// The bytes of an index: a head, the samples' records of one length, and what is said of the file as JSON.
namespace cornstarch::dataio {

struct IndexHead {
  std::array<char, 8> magic;
  std::uint64_t hash;  ///< of all that follows
  std::uint64_t samples;
  std::uint64_t stride;  ///< bytes of a record
};

/// Bytes of a record: `fixed`, and a count of two bytes for each placeholder.
inline constexpr std::size_t index_stride(std::size_t fixed, std::size_t placeholders) {
  return (fixed + placeholders * sizeof(std::uint16_t) + 7) / 8 * 8;
}

/// The last two digits are the format's version: another one is made anew.
inline constexpr std::array<char, 8> kIndexMagic = {'c', 's', 'i', 'n', 'd', 'x', '0', '3'};

inline std::uint64_t index_hash(std::string_view bytes) {
  std::uint64_t hash = 0x9E3779B97F4A7C15ULL ^ bytes.size();
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ word) * 0xD6E8FEB86659FD93ULL;
    hash ^= hash >> 32;
  };
  std::size_t at = 0;
  for (std::uint64_t word; at + sizeof word <= bytes.size(); at += sizeof word) {
    std::memcpy(&word, bytes.data() + at, sizeof word);
    mix(word);
  }
  for (; at < bytes.size(); ++at) mix(static_cast<unsigned char>(bytes[at]));
  return hash;
}

}  // namespace cornstarch::dataio
