#include "cornstarch/dataio/audio.h"

#include <sndfile.h>
#include <soxr.h>

#include <cmath>
#include <memory>
#include <mutex>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr sf_count_t kChunk = 1 << 14;  // frames

using File = std::unique_ptr<SNDFILE, decltype(&sf_close)>;

Result<File> open(const std::filesystem::path& path, SF_INFO& info) {
  // Why a file cannot be opened stands in variables that all threads share and each opening begins anew.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  File file(sf_open(path.c_str(), SFM_READ, &info), &sf_close);
  if (!file) return fail(ExitCode::bad_data, cat("not a recording that can be read: ", sf_strerror(nullptr)));
  return file;
}

Result<void> check(const SF_INFO& info, const AudioLimits& limits) {
  if (info.channels < 1 || info.channels > limits.channels)
    return fail(ExitCode::bad_data,
                cat("a recording of ", info.channels, " channels; 1 to ", limits.channels, " are read"));
  if (info.samplerate < 1 || info.samplerate > limits.max_rate)
    return fail(ExitCode::bad_data,
                cat("a recording at ", info.samplerate, " Hz; 1 to ", limits.max_rate, " are read"));
  if (static_cast<double>(info.frames) > limits.seconds * info.samplerate)
    return fail(ExitCode::bad_data, cat("a recording of ", static_cast<double>(info.frames) / info.samplerate,
                                        " s, longer than the ", limits.seconds, " s that are read"));
  return {};
}

/// Reads to the end, whatever length the header claims.
void read_mono(SNDFILE* file, const SF_INFO& info, double max_samples, std::vector<float>& out) {
  const auto channels = static_cast<std::size_t>(info.channels);
  std::vector<float> frames(static_cast<std::size_t>(kChunk) * channels);
  while (static_cast<double>(out.size()) <= max_samples) {
    const sf_count_t n = sf_readf_float(file, frames.data(), kChunk);
    if (n <= 0) return;
    for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
      float sum = 0;
      for (std::size_t c = 0; c < channels; ++c) sum += frames[i * channels + c];
      out.push_back(sum / static_cast<float>(channels));
    }
  }
}

}  // namespace

Result<Audio> read_audio(const std::filesystem::path& path, const AudioLimits& limits) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return fail(ExitCode::missing_input, cat("cannot read '", path.string(), "': No such file or directory"));
  SF_INFO info{};
  const auto opened = open(path, info);
  if (!opened) return tl::unexpected(opened.error());
  SNDFILE* file = opened->get();
  auto fits = check(info, limits);
  if (!fits) return tl::unexpected(fits.error());
  Audio audio;
  audio.rate = info.samplerate;
  read_mono(file, info, limits.seconds * info.samplerate, audio.samples);
  if (sf_error(file) != SF_ERR_NO_ERROR)
    return fail(ExitCode::bad_data, cat("a broken recording: ", sf_strerror(file)));
  if (audio.samples.empty()) return fail(ExitCode::bad_data, "a recording without samples");
  for (const float sample : audio.samples) {
    if (!std::isfinite(sample))
      return fail(ExitCode::bad_data, "a recording with samples that are no numbers");
  }
  return audio;
}

Result<Audio> resample(Audio audio, int rate) {
  if (audio.rate == rate) return audio;
  const double ratio = static_cast<double>(rate) / audio.rate;
  Audio out;
  out.rate = rate;
  out.samples.resize(static_cast<std::size_t>(std::ceil(static_cast<double>(audio.samples.size()) * ratio)) +
                     1);
  const soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
  std::size_t made = 0;
  const soxr_error_t error =
      soxr_oneshot(audio.rate, rate, 1, audio.samples.data(), audio.samples.size(), nullptr,
                   out.samples.data(), out.samples.size(), &made, nullptr, &quality, nullptr);
  if (error != nullptr)
    return fail(ExitCode::bad_data,
                cat("cannot resample from ", audio.rate, " to ", rate, " Hz: ", soxr_strerror(error)));
  out.samples.resize(made);
  return out;
}

}  // namespace cornstarch::dataio
