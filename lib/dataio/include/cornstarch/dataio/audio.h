#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "cornstarch/base/result.h"

/// Recordings, as libsndfile reads them, told by content: WAV (PCM of 8 to 32 bits, float, A-law, mu-law,
/// ADPCM; RF64 and W64, too), FLAC, Ogg (Vorbis and, from libsndfile 1.0.29 on, Opus), MP3 (from 1.1 on),
/// AIFF, AU, CAF and what else it knows. Not AAC (M4A), WMA, AMR nor the sound of a video.
namespace cornstarch::dataio {

class ByteSource;

/// One channel, full scale at +-1.
struct Audio {
  int rate = 0;  ///< samples per second
  std::vector<float> samples;
};

struct AudioLimits {
  int channels = 16;
  int max_rate = 768000;
};

/// What a header says.
struct AudioInfo {
  int rate = 0;
  int channels = 0;
  /// Samples of each channel; nothing where the header does not tell. Of an MP3 without a table of contents
  /// (Xing, Info) it is a guess of libsndfile's by the file's size and the first frame, and reading ends
  /// there.
  std::optional<std::int64_t> frames;

  std::optional<double> seconds() const {
    return frames ? std::optional(static_cast<double>(*frames) / rate) : std::nullopt;
  }
};

/// Reads the header alone: a few KiB, of Ogg its last pages, too. The same limits hold.
Result<AudioInfo> probe_audio(const std::filesystem::path& path, const AudioLimits& limits = {});
Result<AudioInfo> probe_audio(ByteSource bytes, const AudioLimits& limits = {});

/// The first `samples` samples at `rate`, or fewer if there are not as many: channels averaged, resampled by
/// soxr in high quality if need be. No more of the file is read, however long it is, than these depend on,
/// and no more memory is taken than they and a few chunks need. Messages name no file; the caller knows it.
Result<Audio> read_audio(const std::filesystem::path& path, int rate, std::int64_t samples,
                         const AudioLimits& limits = {});
Result<Audio> read_audio(ByteSource bytes, int rate, std::int64_t samples, const AudioLimits& limits = {});

}  // namespace cornstarch::dataio
