#include "fourier.h"

#include <numbers>

#include "catch.h"

using cornstarch::dataio::FourierTransform;

TEST_CASE("the transform is the sum that defines it, for any size") {
  const auto size = GENERATE(as<std::size_t>(), 1, 2, 3, 4, 7, 12, 25, 31, 60, 400);
  std::vector<std::complex<double>> in, out;
  for (std::size_t n = 0; n < size; ++n)
    in.emplace_back(static_cast<double>(n * n % 17) - 8, static_cast<double>(n * 5 % 11) - 5);
  FourierTransform{size}(in, out);
  REQUIRE(out.size() == size);
  for (std::size_t k = 0; k < size; ++k) {
    std::complex<double> sum = 0;
    for (std::size_t n = 0; n < size; ++n)
      sum += in[n] * std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k * n % size) /
                                         static_cast<double>(size));
    CAPTURE(size, k);
    REQUIRE(std::abs(out[k] - sum) < 1e-9);
  }
}
