#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

/// What Philox draws, by integer operations and IEEE sums, products, quotients and roots alone: a processor
/// and a GPU get the same bits, if their compilers keep products and sums apart (-ffp-contract=off,
/// --fmad=false). constexpr, which is how nvcc takes them for both.
namespace cornstarch {

/// The bijection behind Philox: ten rounds of philox4x32, as in Random123.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> c,
                                                  std::array<std::uint32_t, 2> key) {
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

constexpr std::array<std::uint32_t, 4> philox_block(std::uint64_t key, std::uint64_t index) {
  return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), 0, 0},
                    {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
}

/// 32 bits for each of the elements 4 block, ... 4 block + 3 of a row that has a name, anew in each step.
constexpr std::array<std::uint32_t, 4> element_words(std::uint64_t key, std::uint32_t step,
                                                     std::uint64_t name, std::uint32_t block) {
  return philox4x32({block, static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32), step},
                    {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
}

/// 53 bits of a block's first or second half.
constexpr std::uint64_t bits53(const std::array<std::uint32_t, 4>& block, int half) {
  return ((std::uint64_t{half == 0 ? block[1] : block[3]} << 32) | (half == 0 ? block[0] : block[2])) >> 11;
}

/// log(m / 2^53) for 1 <= m <= 2^53, to 1 ulp: fdlibm's __ieee754_log.
constexpr double log_of_unit(std::uint64_t m) {
  constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
  const auto bits = std::bit_cast<std::uint64_t>(static_cast<double>(m));
  // x in [sqrt(1/2), sqrt(2)), m = x 2^k
  const std::uint64_t fraction = bits & 0x000fffffffffffffu;
  const std::uint64_t half = (fraction + 0x00095f6400000000u) >> 52;
  const double x = std::bit_cast<double>(fraction | ((0x3ffu - half) << 52));
  const double k = static_cast<double>(static_cast<std::int64_t>((bits >> 52) + half) - 1023 - 53);
  const double f = x - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s, w = z * z;
  const double even =
      w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double odd =
      z * (6.666666666666735130e-01 +
           w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double half_square = 0.5 * f * f;
  return k * kLn2High - ((half_square - (s * (half_square + (even + odd)) + k * kLn2Low)) - f);
}

/// Cosine and sine of 0 <= x < 6.3, to 1 ulp (near a zero, of what is left of x): fdlibm's __kernel_cos and
/// __kernel_sin.
constexpr std::array<double, 2> cos_sin(double x) {
  constexpr double kTwoOverPi = 6.36619772367581382433e-01;
  constexpr double kPiOver2 = 1.57079632673412561417e+00, kPiOver2Rest = 6.07710050650619224932e-11;
  // x is not negative, and std::lround is no constant expression.
  const int quarter = static_cast<int>(x * kTwoOverPi + 0.5);  // NOLINT(bugprone-incorrect-roundings)
  const double away = x - quarter * kPiOver2, rest = quarter * kPiOver2Rest;
  const double y = away - rest, y_rest = (away - y) - rest;
  const double z = y * y, v = z * y;
  const double r = 8.33333333332248946124e-03 +
                   z * (-1.98412698298579493134e-04 +
                        z * (2.75573137070700676789e-06 +
                             z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
  const double sine = y - ((z * (0.5 * y_rest - v * r) - y_rest) - v * -1.66666666666666324348e-01);
  const double c = z * (4.16666666666666019037e-02 +
                        z * (-1.38888888888741095749e-03 +
                             z * (2.48015872894767294178e-05 +
                                  z * (-2.75573143513906633035e-07 +
                                       z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
  const double half_square = 0.5 * z, one = 1.0 - half_square;
  const double cosine = one + (((1.0 - one) - half_square) + (z * c - y * y_rest));
  const double a = quarter % 2 == 0 ? cosine : sine, b = quarter % 2 == 0 ? sine : cosine;
  return {quarter == 1 || quarter == 2 ? -a : a, quarter == 2 || quarter == 3 ? -b : b};
}

/// Two standard normal draws from one block (Box and Muller, "A note on the generation of random normal
/// deviates", 1958).
constexpr std::array<double, 2> normal_pair(const std::array<std::uint32_t, 4>& block) {
  constexpr double kTwoPi = 6.283185307179586477;
  const double radius = std::sqrt(-2.0 * log_of_unit((std::uint64_t{1} << 53) - bits53(block, 0)));
  const auto [cosine, sine] = cos_sin(kTwoPi * (static_cast<double>(bits53(block, 1)) * 0x1p-53));
  return {radius * cosine, radius * sine};
}

}  // namespace cornstarch
