#include "cornstarch/dataio/audio.h"

#include <cmath>
#include <numbers>

#include "catch.h"
#include "cornstarch/dataio/parallel.h"
#include "golden.h"

using cornstarch::ExitCode;
using namespace cornstarch::dataio;

namespace {

Audio sine(double hertz, int rate, double seconds) {
  Audio audio{rate, {}};
  for (int i = 0; i < static_cast<int>(seconds * rate); ++i)
    audio.samples.push_back(static_cast<float>(std::sin(2 * std::numbers::pi * hertz * i / rate)));
  return audio;
}

}  // namespace

TEST_CASE("WAV files of several kinds, channels averaged") {
  const auto rates = golden::json("recordings.json");
  REQUIRE(rates.size() == 4);
  for (const auto& [name, rate] : rates.items()) {
    CAPTURE(name);
    const auto audio = read_audio(golden::path("recordings/" + name));
    REQUIRE(audio);
    CHECK(audio->rate == rate.get<int>());
    CHECK(golden::distance(audio->samples, golden::floats(name.substr(0, name.size() - 4) + ".bin")) <= 6e-8);
  }
}

TEST_CASE("a sine keeps its height, pitch and length at another rate") {
  const auto out = resample(sine(440, 22050, 0.5), 16000);
  REQUIRE(out);
  CHECK(out->rate == 16000);
  REQUIRE(out->samples.size() == 8000);
  const Audio wanted = sine(440, 16000, 0.5);
  double worst = 0;  // away from the ends, where the filter sees silence
  for (std::size_t i = 400; i < 7600; ++i)
    worst = std::max(worst, static_cast<double>(std::abs(out->samples[i] - wanted.samples[i])));
  CHECK(worst < 1e-3);
  const auto high = resample(sine(10000, 44100, 0.5), 16000);  // above half the new rate: nothing is left
  REQUIRE(high);
  for (std::size_t i = 400; i < 7600; ++i) REQUIRE(std::abs(high->samples[i]) < 1e-3);
}

TEST_CASE("the same rate changes nothing") {
  const Audio audio = sine(440, 16000, 0.01);
  CHECK(resample(audio, 16000)->samples == audio.samples);
}

TEST_CASE("recordings that are not read") {
  const golden::Folder folder;
  CHECK(read_audio(folder.path() / "none.wav").error().code == ExitCode::missing_input);
  const auto text = read_audio(folder.write("text.wav", "no sound at all"));
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ExitCode::bad_data);
  CHECK(text.error().message.starts_with("not a recording that can be read: "));
  const std::string whole =
      cornstarch::value_or_throw(cornstarch::read_file(golden::path("recordings/pcm16.wav")));
  CHECK(read_audio(folder.write("empty.wav", whole.substr(0, 44))).error().message ==
        "a recording without samples");
}

TEST_CASE("what is wrong with a recording is said while other threads open theirs") {
  const golden::Folder folder;
  const auto broken = folder.write("text.wav", "no sound at all");
  const auto whole = golden::path("recordings/pcm16.wav");
  const auto alone = read_audio(broken);
  REQUIRE_FALSE(alone);
  std::vector<std::string> said(4000);
  parallel_for(said.size(), 2, [&](std::size_t i) {
    const auto audio = read_audio(i % 2 == 0 ? broken : whole);
    if (!audio) said[i] = audio.error().message;
  });
  for (std::size_t i = 0; i < said.size(); ++i) REQUIRE(said[i] == (i % 2 == 0 ? alone.error().message : ""));
}

TEST_CASE("recordings beyond the limits are refused before they are decoded") {
  const auto stereo = golden::path("recordings/stereo8.wav");
  CHECK(read_audio(stereo, {.seconds = 0.05}).error().message ==
        "a recording of 0.1 s, longer than the 0.05 s that are read");
  CHECK(read_audio(stereo, {.channels = 1}).error().message == "a recording of 2 channels; 1 to 1 are read");
  CHECK(read_audio(stereo, {.max_rate = 8000}).error().message ==
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
      const auto audio = read_audio(folder.write("damaged.wav", damaged));
      if (audio) CHECK_FALSE(audio->samples.empty());
    }
  }
}
