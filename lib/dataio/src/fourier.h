#pragma once

#include <complex>
#include <cstddef>
#include <vector>

namespace cornstarch::dataio {

/// The discrete Fourier transform of a fixed size, any size: split at its prime factors, so fast where these
/// are small (400 = 2^4 x 5^2, as Whisper uses).
class FourierTransform {
 public:
  explicit FourierTransform(std::size_t size);
  std::size_t size() const { return size_; }
  /// out[k] = sum over n of in[n] exp(-2 pi i k n / size).
  void operator()(const std::vector<std::complex<double>>& in, std::vector<std::complex<double>>& out) const;

 private:
  void part(const std::complex<double>* in, std::size_t stride, std::complex<double>* out, std::size_t size,
            std::size_t factor, std::complex<double>* scratch) const;

  std::size_t size_;
  std::vector<std::size_t> factors_;
  std::vector<std::complex<double>> roots_;  ///< exp(-2 pi i k / size)
};

}  // namespace cornstarch::dataio
