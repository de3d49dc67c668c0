#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cornstarch/dataio/audio.h"

/// What libvorbis does not free of a broken header is not ours.
extern "C" const char* __lsan_default_suppressions() { return "leak:libvorbis"; }

/// Any bytes become at most the samples that were asked for, all of them numbers, or an error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch::dataio;
  const int fd = ::memfd_create("recording", MFD_CLOEXEC);
  if (fd < 0 || ::write(fd, data, size) != static_cast<ssize_t>(size)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  (void)probe_audio(path);
  constexpr std::int64_t wanted = 16000;
  const auto audio = read_audio(path, 16000, wanted);
  ::close(fd);
  if (!audio) return 0;
  if (audio->samples.empty() || std::ssize(audio->samples) > wanted) std::abort();
  for (const float sample : audio->samples) {
    if (!std::isfinite(sample)) std::abort();
  }
  return 0;
}
