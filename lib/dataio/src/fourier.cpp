#include "fourier.h"

#include <cmath>
#include <numbers>

namespace cornstarch::dataio {
namespace {

/// Without the care for infinities that operator* takes.
std::complex<double> product(std::complex<double> a, std::complex<double> b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

}  // namespace

FourierTransform::FourierTransform(std::size_t size) : size_(size) {
  for (std::size_t rest = size, p = 2; rest > 1;) {
    if (p * p > rest) p = rest;
    if (rest % p == 0) {
      factors_.push_back(p);
      rest /= p;
    } else {
      ++p;
    }
  }
  roots_.reserve(size);
  for (std::size_t k = 0; k < size; ++k)
    roots_.push_back(
        std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(size)));
}

void FourierTransform::operator()(const std::vector<std::complex<double>>& in,
                                  std::vector<std::complex<double>>& out) const {
  out.resize(size_);
  std::vector<std::complex<double>> scratch(factors_.empty() ? 0 : factors_.back());
  part(in.data(), 1, out.data(), size_, 0, scratch.data());
}

/// Cooley-Tukey, decimation in time: `p` transforms of every p-th input, then p of the results at a time.
void FourierTransform::part(const std::complex<double>* in, std::size_t stride, std::complex<double>* out,
                            std::size_t size, std::size_t factor, std::complex<double>* twiddled) const {
  if (size == 1) {
    *out = *in;
    return;
  }
  const std::size_t p = factors_[factor];
  const std::size_t m = size / p;
  for (std::size_t q = 0; q < p; ++q) part(in + q * stride, stride * p, out + q * m, m, factor + 1, twiddled);
  const std::size_t step = size_ / size;
  for (std::size_t k = 0; k < m; ++k) {
    for (std::size_t q = 0; q < p; ++q) twiddled[q] = product(out[q * m + k], roots_[q * k * step]);
    for (std::size_t r = 0; r < p; ++r) {
      std::complex<double> sum = 0;
      std::size_t root = 0;  // q r m step modulo the size
      for (std::size_t q = 0; q < p; ++q) {
        sum += product(twiddled[q], roots_[root]);
        root += r * m * step;
        if (root >= size_) root -= size_;
      }
      out[r * m + k] = sum;
    }
  }
}

}  // namespace cornstarch::dataio
