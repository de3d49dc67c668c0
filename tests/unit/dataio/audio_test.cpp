#include "cornstarch/dataio/audio.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "byte_source.h"
#include "catch.h"
#include "cornstarch/base/parallel.h"
#include "golden.h"
#include "peak_memory.h"

using cornstarch::ExitCode;
using namespace cornstarch::dataio;

namespace {

constexpr std::int64_t kAll = std::int64_t{1} << 20;

std::string bytes_of(std::uint64_t value, std::size_t n) {
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  return bytes;
}

constexpr std::uint64_t kPcm = 1, kFloat = 3;

/// Before `bytes` of samples, each of `width` bytes.
std::string wav_header(std::uint64_t format, std::uint64_t width, std::uint64_t rate, std::uint64_t channels,
                       std::uint64_t bytes) {
  return "RIFF" + bytes_of(36 + bytes, 4) + "WAVEfmt " + bytes_of(16, 4) + bytes_of(format, 2) +
         bytes_of(channels, 2) + bytes_of(rate, 4) + bytes_of(width * rate * channels, 4) +
         bytes_of(width * channels, 2) + bytes_of(8 * width, 2) + "data" + bytes_of(bytes, 4);
}

std::string wav(const std::vector<float>& samples, std::uint64_t rate, std::uint64_t channels = 1) {
  const std::string body(reinterpret_cast<const char*>(samples.data()), samples.size() * sizeof(float));
  return wav_header(kFloat, 4, rate, channels, body.size()) + body;
}

std::vector<float> sine(double hertz, int rate, double seconds) {
  std::vector<float> samples;
  for (int i = 0; i < static_cast<int>(seconds * rate); ++i)
    samples.push_back(static_cast<float>(std::sin(2 * std::numbers::pi * hertz * i / rate)));
  return samples;
}

Audio read(const std::filesystem::path& path, int rate, std::int64_t samples = kAll) {
  return cornstarch::value_or_throw(read_audio(path, rate, samples));
}

std::string problem(const std::filesystem::path& path) {
  const auto audio = read_audio(path, 16000, kAll);
  return audio ? "" : audio.error().message;
}

}  // namespace

TEST_CASE("WAV files of several kinds, channels averaged") {
  const auto rates = golden::json("recordings.json");
  REQUIRE(rates.size() == 4);
  for (const auto& [name, rate] : rates.items()) {
    CAPTURE(name);
    const Audio audio = read(golden::path("recordings/" + name), rate.get<int>());
    CHECK(audio.rate == rate.get<int>());
    CHECK(golden::distance(audio.samples, golden::floats(name.substr(0, name.size() - 4) + ".bin")) <= 6e-8);
  }
}

TEST_CASE("a header tells rate, channels and length") {
  const auto info = probe_audio(golden::path("recordings/stereo8.wav"));
  REQUIRE(info);
  CHECK(info->rate == 16000);
  CHECK(info->channels == 2);
  CHECK(info->frames == 1600);
  CHECK(info->seconds() == 0.1);
}

TEST_CASE("a sine keeps its height, pitch and length at another rate") {
  const golden::Folder folder;
  const Audio out = read(folder.write("sine.wav", wav(sine(440, 22050, 0.5), 22050)), 16000);
  CHECK(out.rate == 16000);
  REQUIRE(out.samples.size() == 8000);
  const auto wanted = sine(440, 16000, 0.5);
  double worst = 0;  // away from the ends, where the filter sees silence
  for (std::size_t i = 400; i < 7600; ++i)
    worst = std::max(worst, static_cast<double>(std::abs(out.samples[i] - wanted[i])));
  CHECK(worst < 1e-3);
  // Above half the new rate: nothing is left.
  const Audio high = read(folder.write("high.wav", wav(sine(10000, 44100, 0.5), 44100)), 16000);
  for (std::size_t i = 400; i < 7600; ++i) REQUIRE(std::abs(high.samples[i]) < 1e-3);
}

TEST_CASE("what is read of a recording is what the whole of it begins with, at any rate") {
  const golden::Folder folder;
  for (const int rate : {7999, 8000, 16000, 44100, 48000, 192000}) {
    CAPTURE(rate);
    std::vector<float> samples = sine(440, rate, 1.5);
    for (std::size_t i = 0; i < samples.size(); i += 97) samples[i] *= 0.5F;
    const auto path = folder.write("long.wav", wav(samples, static_cast<std::uint64_t>(rate)));
    const Audio whole = read(path, 16000);
    CHECK(std::ssize(whole.samples) == std::llround(static_cast<double>(samples.size()) * 16000 / rate));
    for (const std::int64_t n : {1, 1000, 16000}) {
      const Audio part = read(path, 16000, n);
      CHECK(part.samples == std::vector<float>(whole.samples.begin(), whole.samples.begin() + n));
    }
  }
}

TEST_CASE("FLAC to the bit, and what other formats keep of a sound") {
  const auto wanted = golden::floats("pcm16.bin");
  const auto compare = [&](const std::string& name, double most) {
    CAPTURE(name);
    const auto path = golden::path("recordings/" + name);
    const Audio audio = read(path, 16000);
    REQUIRE(audio.samples.size() >= wanted.size());
    double error = 0;  // mean square
    for (std::size_t i = 0; i < wanted.size(); ++i)
      error += std::pow(audio.samples[i] - wanted[i], 2) / static_cast<double>(wanted.size());
    CHECK(std::sqrt(error) <= most);
    const auto info = probe_audio(path);
    REQUIRE(info);
    CHECK(info->channels == 1);
    REQUIRE(info->frames);
    CHECK(std::abs(*info->seconds() - 0.6) < 0.1);
  };
  compare("sound.flac", 0);
  compare("vorbis.ogg", 0.02);
  compare("opus.ogg", 0.05);
  compare("sound.mp3", 0.02);
}

TEST_CASE("an MP3 of a varying bit rate is read whole, or not at all") {
  // Silence at 16 kHz: a frame of 160 kbit/s, and 400 of 8.
  std::string bytes = "\xFF\xF3\xE8\xC4" + std::string(716, '\0');
  for (int i = 0; i < 400; ++i) bytes += "\xFF\xF3\x18\xC4" + std::string(32, '\0');
  const golden::Folder folder;
  const auto path = folder.write("silence.mp3", bytes);
  const auto all = read_audio(path, 16000, kAll);
  REQUIRE_FALSE(all);
  CHECK(all.error().message ==
        "an MP3 recording of a varying bit rate that does not tell its length: its end is not read");
  CHECK(all.error().help == "convert it, as with: ffmpeg -i IN -ac 1 OUT.wav");
  CHECK(read(path, 16000, 5000).samples.size() == 5000);  // what is asked for is there
  const std::size_t steady = 720;
  CHECK(read(folder.write("steady.mp3", bytes.substr(steady)), 16000, kAll).samples.size() >= 399 * 576);
}

TEST_CASE("a FLAC that was streamed does not tell its length and is read all the same") {
  std::string bytes =
      cornstarch::value_or_throw(cornstarch::read_file(golden::path("recordings/sound.flac")));
  for (std::size_t i = 22; i < 26; ++i) bytes[i] = 0;  // the low 32 bits of its length
  const golden::Folder folder;
  const auto path = folder.write("streamed.flac", bytes);
  const auto info = probe_audio(path);
  REQUIRE(info);
  CHECK_FALSE(info->seconds());
  CHECK(read(path, 16000).samples == golden::floats("pcm16.bin"));
}

TEST_CASE("an hour at 768 kHz takes no more memory than the second that is wanted of it") {
  const golden::Folder folder;
  const std::uint64_t bytes = std::uint64_t{3600} * 768000;
  const auto path = folder.write("hour.wav", wav_header(kPcm, 1, 768000, 1, bytes));
  std::filesystem::resize_file(path, 44 + bytes);  // all zeros, which take no room on the disk
  CHECK(probe_audio(path)->seconds() == 3600.0);
  const auto peak =
      cornstarch::test::peak_memory_of([&] { return read(path, 16000, 16000).samples.size() == 16000; });
  CHECK(peak < 32 << 20);
}

TEST_CASE("hours at 1 Hz take little memory for the second that is wanted of them") {
  const golden::Folder folder;
  const auto path = folder.write("slow.wav", wav(std::vector<float>(20000), 1));
  const auto peak =
      cornstarch::test::peak_memory_of([&] { return read(path, 16000, 16000).samples.size() == 16000; });
  CHECK(peak < 128 << 20);
}

TEST_CASE("recordings that are not read") {
  const golden::Folder folder;
  const auto missing = folder.path() / "none.wav";
  CHECK(read_audio(missing, 16000, kAll).error().code == ExitCode::missing_input);
  CHECK(read_audio(ByteSource::part_of(-1, 0, 100), 16000, kAll).error().message ==
        "cannot be read: Bad file descriptor");
  CHECK(problem(missing) == "cannot read '" + missing.string() + "': No such file or directory");
  CHECK(probe_audio(missing).error().message == problem(missing));
  CHECK(problem(folder.path()) == "cannot read '" + folder.path().string() + "': it is a folder");
  const auto text = read_audio(folder.write("text.wav", "no sound at all"), 16000, kAll);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ExitCode::bad_data);
  CHECK(text.error().message.starts_with("not a recording that can be read: "));
  CHECK(text.error().help ==
        "WAV, FLAC, Ogg, AIFF, AU, CAF and MP3 recordings are read; convert it, as with: "
        "ffmpeg -i IN -ac 1 OUT.wav");
  const std::string m4a(
      "\0\0\0\x1C"
      "ftypM4A \0\0\0\0",
      16);
  CHECK(problem(folder.write("sound.wav", m4a)).starts_with("an M4A recording that cannot be read: "));
  CHECK(problem(folder.write("page.wav", "<html>404")).starts_with("an HTML page that cannot be read: "));
  CHECK(problem(folder.write("empty.wav", wav({}, 16000))) == "a recording without samples");
  CHECK(problem(folder.write("short.wav", wav({1}, 500000))) ==
        "a recording that is shorter than a sample at 16000 Hz");
}

TEST_CASE("samples that are no numbers, or so loud that sums overflow, are refused") {
  const golden::Folder folder;
  const auto said = [&](float sample) {
    std::vector<float> samples(8000);
    samples[6001] = sample;
    return problem(folder.write("loud.wav", wav(samples, 8000, 2)));
  };
  CHECK(said(3e38F) == "a recording with a sample of 3e+38 at 0.375 s; full scale is 1");
  CHECK(said(-5e9F) == "a recording with a sample of -5e+09 at 0.375 s; full scale is 1");
  CHECK(said(std::numeric_limits<float>::infinity()) ==
        "a recording with a sample of inf at 0.375 s; full scale is 1");
  CHECK(said(std::numeric_limits<float>::quiet_NaN()) ==
        "a recording with a sample of nan at 0.375 s; full scale is 1");
  CHECK(said(2e9F).empty());
}

TEST_CASE("what is wrong with a recording is said while other threads open theirs") {
  const golden::Folder folder;
  const auto broken = folder.write("text.wav", "no sound at all");
  const auto whole = golden::path("recordings/pcm16.wav");
  const auto alone = read_audio(broken, 16000, kAll);
  REQUIRE_FALSE(alone);
  std::vector<std::string> said(4000);
  cornstarch::parallel_for(said.size(), 2, [&](std::size_t i) {
    const auto audio = read_audio(i % 2 == 0 ? broken : whole, 16000, kAll);
    if (!audio) said[i] = audio.error().message;
  });
  for (std::size_t i = 0; i < said.size(); ++i) REQUIRE(said[i] == (i % 2 == 0 ? alone.error().message : ""));
}

TEST_CASE("recordings beyond the limits are refused before they are decoded") {
  const auto stereo = golden::path("recordings/stereo8.wav");
  CHECK(read_audio(stereo, 16000, kAll, {.channels = 1}).error().message ==
        "a recording of 2 channels; 1 to 1 are read");
  CHECK(read_audio(stereo, 16000, kAll, {.max_rate = 8000}).error().message ==
        "a recording at 16000 Hz; 1 to 8000 are read");
}

TEST_CASE("no damage to a WAV does worse than an error") {
  const golden::Folder folder;
  const std::string whole =
      cornstarch::value_or_throw(cornstarch::read_file(golden::path("recordings/float.wav")));
  for (std::size_t at = 0; at < 48; ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const auto audio = read_audio(folder.write("damaged.wav", damaged), 16000, kAll);
      if (audio) CHECK_FALSE(audio->samples.empty());
    }
  }
}
