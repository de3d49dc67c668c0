#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace cornstarch::test {

/// A member's header and bytes as tar has them, padded to whole blocks.
inline std::string tar_member(std::string_view name, std::string_view content, char type = '0') {
  std::string block(512, '\0');
  const auto put = [&](std::size_t at, std::string_view text) { block.replace(at, text.size(), text); };
  char size[12], sum[8];
  std::snprintf(size, sizeof size, "%011zo", content.size());
  put(0, name.substr(0, 100));
  put(100, "0000644");
  put(124, size);
  put(148, "        ");
  block[156] = type;
  put(257, std::string_view("ustar\00000", 8));
  unsigned total = 0;
  for (const char c : block) total += static_cast<unsigned char>(c);
  std::snprintf(sum, sizeof sum, "%06o", total);
  put(148, std::string_view(sum, 7));
  block += content;
  block.resize((block.size() + 511) / 512 * 512);
  return block;
}

/// A record of pax's, with its own length in front.
inline std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  std::size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

inline std::string tar_end() { return std::string(1024, '\0'); }

}  // namespace cornstarch::test
