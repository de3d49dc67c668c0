#include "cornstarch/dataio/audio.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>

#include "byte_source.h"
#include "cornstarch/base/text.h"
#include "file_kind.h"
#include "resampler.h"

namespace cornstarch::dataio {
namespace {

constexpr sf_count_t kChunk = 1 << 14;  // frames, before or behind resampling

/// Louder than whole numbers of 32 bits that nobody scaled. Beyond it sums overflow somewhere on the way.
constexpr float kLoudest = 4294967296.0F;

constexpr int kMpeg = 0x230000;  // SF_FORMAT_MPEG, which headers before 1.1 do not have

using File = std::unique_ptr<SNDFILE, decltype(&sf_close)>;

bool reads_mp3() {
  int count = 0;
  sf_command(nullptr, SFC_GET_FORMAT_MAJOR_COUNT, &count, sizeof count);
  for (int i = 0; i < count; ++i) {
    SF_FORMAT_INFO info{};
    info.format = i;
    sf_command(nullptr, SFC_GET_FORMAT_MAJOR, &info, sizeof info);
    if (info.format == kMpeg) return true;
  }
  return false;
}

/// `reason`: libsndfile's.
tl::unexpected<Error> not_read(ByteSource& bytes, std::string_view reason) {
  const FileKind kind = kind_of_file(bytes.read(0, 512));
  if (auto trouble = bytes.trouble()) return tl::unexpected(std::move(*trouble));
  const std::string formats =
      cat("WAV, FLAC, Ogg, AIFF, AU, CAF", reads_mp3() ? " and MP3" : "", " recordings are read");
  std::string help = cat(formats, "; convert it, as with: ffmpeg -i IN -ac 1 OUT.wav");
  if (!reads_mp3()) help += cat(" (MP3 takes libsndfile 1.1; this is ", sf_version_string(), ")");
  return fail(
      ExitCode::bad_data,
      cat(kind.name.empty() ? "not a recording that can" : kind.name + " that cannot", " be read: ", reason),
      std::move(help));
}

/// What libsndfile reads, and where it stands in it.
struct Tape {
  ByteSource bytes;
  std::int64_t at = 0;
};

struct Opened {
  std::unique_ptr<Tape> tape;  ///< libsndfile keeps its address
  File file;
  AudioInfo info;
  bool mp3;
};

Tape& tape_in(void* handle) { return *static_cast<Tape*>(handle); }

SF_VIRTUAL_IO tape_io() {
  SF_VIRTUAL_IO io{};
  io.get_filelen = [](void* handle) -> sf_count_t { return tape_in(handle).bytes.size(); };
  io.seek = [](sf_count_t to, int from, void* handle) -> sf_count_t {
    Tape& tape = tape_in(handle);
    const std::int64_t base = from == SEEK_SET ? 0 : from == SEEK_CUR ? tape.at : tape.bytes.size();
    if (to < -base || to > std::numeric_limits<std::int64_t>::max() - base) return -1;
    return tape.at = base + to;
  };
  io.read = [](void* into, sf_count_t n, void* handle) -> sf_count_t {
    Tape& tape = tape_in(handle);
    const std::string_view got =
        tape.bytes.read(tape.at, static_cast<std::size_t>(std::max<sf_count_t>(n, 0)));
    std::copy(got.begin(), got.end(), static_cast<char*>(into));
    tape.at += std::ssize(got);
    return std::ssize(got);
  };
  io.tell = [](void* handle) -> sf_count_t { return tape_in(handle).at; };
  return io;
}

Result<File> open_sound(Tape& tape, SF_INFO& info) {
  // Why a file cannot be opened stands in variables that all threads share and each opening begins anew.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  SF_VIRTUAL_IO io = tape_io();
  File file(sf_open_virtual(&io, SFM_READ, &info, &tape), &sf_close);
  if (!file) return not_read(tape.bytes, sf_strerror(nullptr));
  return file;
}

Result<Opened> open(ByteSource bytes, const AudioLimits& limits) {
  auto tape = std::make_unique<Tape>(Tape{std::move(bytes)});
  SF_INFO info{};
  auto file = open_sound(*tape, info);
  if (!file) return tl::unexpected(file.error());
  if (info.channels < 1 || info.channels > limits.channels)
    return fail(ExitCode::bad_data,
                cat("a recording of ", info.channels, " channels; 1 to ", limits.channels, " are read"));
  if (info.samplerate < 1 || info.samplerate > limits.max_rate)
    return fail(ExitCode::bad_data,
                cat("a recording at ", info.samplerate, " Hz; 1 to ", limits.max_rate, " are read"));
  Opened opened{std::move(tape),
                std::move(*file),
                {info.samplerate, info.channels, info.frames},
                (info.format & SF_FORMAT_TYPEMASK) == kMpeg};
  if (info.frames < 0 || info.frames == SF_COUNT_MAX) opened.info.frames.reset();
  return opened;
}

/// Reads a recording chunk by chunk, as one channel.
class MonoReader {
 public:
  /// For `rate`: a chunk stays one at that rate, too, whatever the file's own.
  MonoReader(const Opened& opened, int rate)
      : file_(opened.file.get()),
        rate_(opened.info.rate),
        channels_(static_cast<std::size_t>(opened.info.channels)),
        chunk_(std::clamp<sf_count_t>(kChunk * rate_ / rate, 1, kChunk)),
        frames_(static_cast<std::size_t>(chunk_) * channels_) {}

  /// Nothing at the end, whatever length the header claims.
  Result<std::vector<float>> next() {
    const sf_count_t n = sf_readf_float(file_, frames_.data(), chunk_);
    if (n <= 0 && sf_error(file_) != SF_ERR_NO_ERROR)
      return fail(ExitCode::bad_data, cat("a broken recording: ", sf_strerror(file_)), kAnew);
    std::vector<float> mono(static_cast<std::size_t>(std::max<sf_count_t>(n, 0)));
    for (std::size_t i = 0; i < mono.size(); ++i) {
      for (std::size_t c = 0; c < channels_; ++c) {
        const float sample = frames_[i * channels_ + c];
        if (!(std::abs(sample) <= kLoudest)) return refuse(sample, i);
        mono[i] += sample;
      }
      mono[i] /= static_cast<float>(channels_);
    }
    read_ += n;
    return mono;
  }

 private:
  static constexpr const char* kAnew =
      "copy or download it again, or save it anew with a program that still opens it";

  tl::unexpected<Error> refuse(float sample, std::size_t at) const {
    const double seconds = static_cast<double>(read_ + static_cast<std::int64_t>(at)) / rate_;
    return fail(ExitCode::bad_data,
                cat("a recording with a sample of ", std::isnan(sample) ? "nan" : cat(sample), " at ",
                    seconds, " s; full scale is 1"),
                kAnew);
  }

  SNDFILE* file_;
  int rate_;
  std::size_t channels_;
  sf_count_t chunk_;
  std::vector<float> frames_;
  std::int64_t read_ = 0;
};

/// Whether an MP3's first frame is a table (of Xing's kind or VBRI's) that says how long it is.
bool tells_length(ByteSource& mp3) {
  constexpr std::int64_t tag_header = 10;
  const std::string_view tag = mp3.read(0, tag_header);
  std::int64_t at = 0;
  if (tag.starts_with("ID3") && tag.size() == tag_header) {
    for (std::size_t i = 6; i < tag.size(); ++i) at = at << 7 | (tag[i] & 0x7F);
    at += tag_header;
  }
  const std::string_view frame = mp3.read(at, 64);
  return frame.find("Xing") != frame.npos || frame.find("Info") != frame.npos ||
         frame.find("VBRI") != frame.npos;
}

/// libsndfile takes an MP3 without such a table to be as long as its first frame's bit rate makes it, and
/// reads no further. Where the rate varies, much may be left then.
bool cut_short(Opened& opened) {
  constexpr std::int64_t three_frames = 3 * 1441;
  Tape& tape = *opened.tape;
  return opened.mp3 && tape.bytes.size() - tape.at > three_frames && !tells_length(tape.bytes);
}

}  // namespace

Result<AudioInfo> probe_audio(const std::filesystem::path& path, const AudioLimits& limits) {
  auto bytes = ByteSource::open(path);
  if (!bytes) return tl::unexpected(bytes.error());
  return probe_audio(std::move(*bytes), limits);
}

Result<AudioInfo> probe_audio(ByteSource bytes, const AudioLimits& limits) {
  const auto opened = open(std::move(bytes), limits);
  if (!opened) return tl::unexpected(opened.error());
  return opened->info;
}

Result<Audio> read_audio(const std::filesystem::path& path, int rate, std::int64_t samples,
                         const AudioLimits& limits) {
  auto bytes = ByteSource::open(path);
  if (!bytes) return tl::unexpected(bytes.error());
  return read_audio(std::move(*bytes), rate, samples, limits);
}

Result<Audio> read_audio(ByteSource bytes, int rate, std::int64_t samples, const AudioLimits& limits) {
  auto opened = open(std::move(bytes), limits);
  if (!opened) return tl::unexpected(opened.error());
  auto resampler = Resampler::make(opened->info.rate, rate);
  if (!resampler) return tl::unexpected(resampler.error());
  MonoReader reader(*opened, rate);
  Audio audio{rate, {}};
  const auto wanted = static_cast<std::size_t>(samples);
  bool any = false;
  while (audio.samples.size() < wanted) {
    const auto chunk = reader.next();
    if (auto trouble = opened->tape->bytes.trouble()) return tl::unexpected(std::move(*trouble));
    if (!chunk) return tl::unexpected(chunk.error());
    auto added = resampler->add(*chunk, audio.samples);
    if (!added) return tl::unexpected(added.error());
    if (chunk->empty() && cut_short(*opened))
      return fail(ExitCode::bad_data,
                  "an MP3 recording of a varying bit rate that does not tell its length: its end is not read",
                  "convert it, as with: ffmpeg -i IN -ac 1 OUT.wav");
    if (chunk->empty()) break;
    any = true;
  }
  if (!any) return fail(ExitCode::bad_data, "a recording without samples");
  if (audio.samples.empty())
    return fail(ExitCode::bad_data, cat("a recording that is shorter than a sample at ", rate, " Hz"));
  if (audio.samples.size() > wanted) audio.samples.resize(wanted);
  return audio;
}

}  // namespace cornstarch::dataio
