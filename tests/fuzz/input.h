#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

/// What fuzz targets make of their bytes.
namespace cornstarch::fuzz {

/// A promise that the input has broken: the fuzzer keeps it.
inline void require(bool held, int line = __builtin_LINE()) {
  if (held) return;
  std::fprintf(stderr, "what line %d requires is not so\n", line);
  std::abort();
}

/// Takes choices from the front of the bytes, zeros behind their end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const char first = rest_.front();
    rest_.remove_prefix(1);
    return static_cast<std::uint8_t>(first);
  }
  std::size_t below(std::size_t n) { return byte() % n; }
  bool yes() { return byte() % 2 == 1; }
  /// Up to the next zero byte.
  std::string_view word() {
    const std::string_view word = rest_.substr(0, rest_.find('\0'));
    rest_.remove_prefix(std::min(word.size() + 1, rest_.size()));
    return word;
  }

 private:
  std::string_view rest_;
};

}  // namespace cornstarch::fuzz
