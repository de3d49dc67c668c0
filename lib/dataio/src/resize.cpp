#include <algorithm>
#include <cmath>
#include <cstddef>

#include "cornstarch/dataio/image.h"

// After Pillow's libImaging/Resample.c, whose arithmetic is kept so that every byte agrees.

namespace cornstarch::dataio {
namespace {

constexpr int kPrecisionBits = 32 - 8 - 2;

double bilinear(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/// Which inputs make an output, and with what weights (fixed point).
struct Taps {
  int first = 0;
  std::vector<int> weights;
};

std::vector<Taps> taps_of(int in, int out, Filter filter) {
  const auto kernel = filter == Filter::bicubic ? bicubic : bilinear;
  const double scale = static_cast<double>(in) / out;
  const double stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::bicubic ? 2.0 : 1.0) * stretch;
  std::vector<Taps> taps(static_cast<std::size_t>(out));
  std::vector<double> weights;
  for (int i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(std::trunc(center - support + 0.5)));
    const int last = std::min(in, static_cast<int>(std::trunc(center + support + 0.5)));
    weights.clear();
    double sum = 0;
    for (int x = first; x < last; ++x) {
      weights.push_back(kernel((x - center + 0.5) * (1.0 / stretch)));
      sum += weights.back();
    }
    Taps& tap = taps[static_cast<std::size_t>(i)];
    tap.first = first;
    for (const double weight : weights) {
      const double fixed = (sum != 0 ? weight / sum : weight) * (1 << kPrecisionBits);
      tap.weights.push_back(static_cast<int>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return taps;
}

constexpr int kHalf = 1 << (kPrecisionBits - 1);

std::uint8_t byte_of(int sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255)); }

Image resize_width(const Image& image, int width, Filter filter) {
  const auto taps = taps_of(image.width, width, filter);
  const std::size_t row = 3 * static_cast<std::size_t>(image.width);
  Image out{width, image.height, {}};
  out.rgb.resize(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(image.height));
  std::uint8_t* to = out.rgb.data();
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* const from = image.rgb.data() + row * static_cast<std::size_t>(y);
    for (const Taps& tap : taps) {
      const std::uint8_t* at = from + 3 * static_cast<std::size_t>(tap.first);
      int red = kHalf, green = kHalf, blue = kHalf;
      for (const int weight : tap.weights) {
        red += at[0] * weight;
        green += at[1] * weight;
        blue += at[2] * weight;
        at += 3;
      }
      *to++ = byte_of(red);
      *to++ = byte_of(green);
      *to++ = byte_of(blue);
    }
  }
  return out;
}

/// Whole rows at a time, which compilers turn into vectors.
Image resize_height(const Image& image, int height, Filter filter) {
  const auto taps = taps_of(image.height, height, filter);
  const std::size_t row = 3 * static_cast<std::size_t>(image.width);
  Image out{image.width, height, {}};
  out.rgb.resize(row * static_cast<std::size_t>(height));
  std::uint8_t* to = out.rgb.data();
  std::vector<int> sums(row);
  for (const Taps& tap : taps) {
    std::fill(sums.begin(), sums.end(), kHalf);
    const std::uint8_t* at = image.rgb.data() + row * static_cast<std::size_t>(tap.first);
    for (const int weight : tap.weights) {
      for (std::size_t x = 0; x < row; ++x) sums[x] += at[x] * weight;
      at += row;
    }
    for (const int sum : sums) *to++ = byte_of(sum);
  }
  return out;
}

}  // namespace

Image resize(const Image& image, int width, int height, Filter filter) {
  if (width == image.width && height == image.height) return image;
  if (height == image.height) return resize_width(image, width, filter);
  if (width == image.width) return resize_height(image, height, filter);
  return resize_height(resize_width(image, width, filter), height, filter);
}

Image center_crop(const Image& image, int width, int height) {
  // Where the crop's corner lies in the image, negative where the image is smaller. Cutting rounds down;
  // padding puts the odd row or column first.
  const auto corner = [](int have, int want) {
    return have >= want ? (have - want) / 2 : -((want - have + 1) / 2);
  };
  const int top = corner(image.height, height);
  const int left = corner(image.width, width);
  Image out{width, height, {}};
  out.rgb.assign(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height), 0);
  const int x_begin = std::max(0, -left);
  const int x_end = std::min(width, image.width - left);
  for (int y = std::max(0, -top); y < std::min(height, image.height - top); ++y) {
    const auto from = image.rgb.begin() + 3 * (std::ptrdiff_t{y + top} * image.width + x_begin + left);
    std::copy(from, from + 3 * std::ptrdiff_t{x_end - x_begin},
              out.rgb.begin() + 3 * (std::ptrdiff_t{y} * width + x_begin));
  }
  return out;
}

}  // namespace cornstarch::dataio
