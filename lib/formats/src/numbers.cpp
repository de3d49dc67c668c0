#include "cornstarch/formats/numbers.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::formats {
namespace {

float of_half(std::uint16_t half) {
  const int exponent = half >> 10 & 0x1F;
  const auto fraction = static_cast<float>(half & 0x3FF);
  const float sign = (half & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent < 31) return sign * std::ldexp(1024 + fraction, exponent - 25);
  return fraction == 0 ? sign * HUGE_VALF : NAN;
}

std::uint16_t to_half(float x) {
  const auto sign = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x) >> 16 & 0x8000);
  if (std::isnan(x)) return sign | 0x7E00;
  const float size = std::fabs(x);
  if (size >= 65520) return sign | 0x7C00;
  int exponent = 0;
  std::frexp(size, &exponent);
  if (size == 0 || exponent < -13)  // smaller than the least normal one: multiples of 2^-24
    return static_cast<std::uint16_t>(sign + std::lrint(std::ldexp(size, 24)));
  // 11 bits, of which the first is not stored; one too many of them carries into the exponent.
  const auto bits = static_cast<std::uint16_t>(std::lrint(std::ldexp(size, 11 - exponent)));
  return static_cast<std::uint16_t>(sign + ((exponent + 13) << 10) + bits);
}

std::uint16_t to_bfloat(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

template <typename Stored, typename Read>
std::vector<float> read_all(std::span<const std::byte> bytes, const Read& read) {
  std::vector<float> out(bytes.size() / sizeof(Stored));
  for (std::size_t i = 0; i < out.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    out[i] = read(stored);
  }
  return out;
}

template <typename Stored, typename Write>
std::vector<std::byte> write_all(std::span<const float> numbers, const Write& write) {
  std::vector<std::byte> out(numbers.size() * sizeof(Stored));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const Stored stored = write(numbers[i]);
    std::memcpy(out.data() + i * sizeof(Stored), &stored, sizeof(Stored));
  }
  return out;
}

[[noreturn]] void refuse(DType dtype) {
  throw Failure(ExitCode::internal, cat(name_of(dtype), " is no floating-point type"));
}

}  // namespace

std::vector<float> to_floats(DType dtype, std::span<const std::byte> bytes) {
  switch (dtype) {
    case DType::f64:
      return read_all<double>(bytes, [](double x) { return static_cast<float>(x); });
    case DType::f32:
      return read_all<float>(bytes, [](float x) { return x; });
    case DType::f16:
      return read_all<std::uint16_t>(bytes, of_half);
    case DType::bf16:
      return read_all<std::uint16_t>(
          bytes, [](std::uint16_t x) { return std::bit_cast<float>(std::uint32_t{x} << 16); });
    default:
      refuse(dtype);
  }
}

std::vector<std::byte> from_floats(DType dtype, std::span<const float> numbers) {
  switch (dtype) {
    case DType::f64:
      return write_all<double>(numbers, [](float x) { return static_cast<double>(x); });
    case DType::f32:
      return write_all<float>(numbers, [](float x) { return x; });
    case DType::f16:
      return write_all<std::uint16_t>(numbers, to_half);
    case DType::bf16:
      return write_all<std::uint16_t>(numbers, to_bfloat);
    default:
      refuse(dtype);
  }
}

}  // namespace cornstarch::formats
