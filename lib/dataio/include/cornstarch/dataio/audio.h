#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// One channel, full scale at +-1.
struct Audio {
  int rate = 0;  ///< samples per second
  std::vector<float> samples;
};

struct AudioLimits {
  double seconds = 3600;
  int channels = 16;
  int max_rate = 768000;
};

/// Any file that libsndfile reads (WAV, FLAC, Ogg, ...), channels averaged to one. Checked against the limits
/// before the samples are decoded. Messages name no file; the caller knows it.
Result<Audio> read_audio(const std::filesystem::path& path, const AudioLimits& limits = {});

/// At another rate (soxr, high quality); unchanged if it has that rate.
Result<Audio> resample(Audio audio, int rate);

}  // namespace cornstarch::dataio
