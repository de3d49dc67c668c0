#include "cornstarch/formats/numbers.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "catch.h"

using namespace cornstarch::formats;

namespace {

std::uint16_t sixteen(DType dtype, float number) {
  const auto bytes = from_floats(dtype, std::vector<float>{number});
  std::uint16_t out = 0;
  std::memcpy(&out, bytes.data(), sizeof(out));
  return out;
}

float back(DType dtype, std::uint16_t stored) {
  return to_floats(dtype, std::as_bytes(std::span(&stored, 1))).at(0);
}

}  // namespace

TEST_CASE("numbers of sixteen bits are what they were, all of them") {
  for (const DType dtype : {DType::f16, DType::bf16})
    for (std::uint32_t i = 0; i < 65536; ++i) {
      const auto stored = static_cast<std::uint16_t>(i);
      const float number = back(dtype, stored);
      if (std::isnan(number) ? !std::isnan(back(dtype, sixteen(dtype, number)))
                             : sixteen(dtype, number) != stored)
        FAIL_CHECK(name_of(dtype) << " " << i);
    }
}

TEST_CASE("what lies between two numbers is rounded to the nearer, half of the way to the even one") {
  CHECK(sixteen(DType::f16, 1.0F) == 0x3C00);
  CHECK(sixteen(DType::f16, 1.0F + 0x1p-11F) == 0x3C00);
  CHECK(sixteen(DType::f16, 1.0F + 0x1.8p-10F) == 0x3C02);
  CHECK(sixteen(DType::f16, 1.0F + 0x1.1p-11F) == 0x3C01);
  CHECK(sixteen(DType::f16, 65519.0F) == 0x7BFF);
  CHECK(sixteen(DType::f16, 65520.0F) == 0x7C00);
  CHECK(sixteen(DType::f16, 2047.9F) == 0x6800);  // carries into the exponent
  CHECK(sixteen(DType::f16, 0x1p-25F) == 0);
  CHECK(sixteen(DType::f16, -0x1.8p-25F) == 0x8001);
  CHECK(back(DType::f16, 0x0001) == 0x1p-24F);
  CHECK(back(DType::f16, 0xFC00) == -HUGE_VALF);
  CHECK(sixteen(DType::bf16, 1.0F + 0x1p-8F) == 0x3F80);
  CHECK(sixteen(DType::bf16, 1.0F + 0x1.8p-7F) == 0x3F82);
  CHECK(sixteen(DType::bf16, std::bit_cast<float>(0x7F7FFFFFU)) == 0x7F80);
}

TEST_CASE("wider numbers keep what a float has") {
  const std::vector<float> numbers = {0.1F, -3.5F, 1e-40F};
  CHECK(to_floats(DType::f64, from_floats(DType::f64, numbers)) == numbers);
  CHECK(to_floats(DType::f32, from_floats(DType::f32, numbers)) == numbers);
  CHECK(from_floats(DType::f64, numbers).size() == 24);
}
