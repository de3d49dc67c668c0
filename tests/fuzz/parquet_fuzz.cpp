#include <sys/mman.h>
#include <unistd.h>

#include "cornstarch/base/text.h"
#include "input.h"
#include "parquet.h"

using namespace cornstarch;
using namespace cornstarch::dataio;

/// What is no table is refused; what is one has rows that are samples or bad ones, the same with their
/// media's bytes and without.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int fd = ::memfd_create("table.parquet", 0);
  if (fd < 0 || ::write(fd, data, size) != static_cast<ssize_t>(size)) std::abort();
  {
    const auto file = DataFile::open(cat("/proc/self/fd/", fd));
    const auto table = file ? ParquetFile::open(*file) : tl::unexpected(file.error());
    const std::int64_t groups = table ? std::min<std::int64_t>(table->groups(), 4) : 0;
    for (std::int64_t group = 0; group < groups; ++group) {
      const auto samples = table->samples(group);
      if (!samples) continue;
      for (std::int64_t row = 0; row < std::min<std::int64_t>(std::ssize(*samples), 64); ++row) {
        const auto told = read_conversation((*samples)[static_cast<std::size_t>(row)]);
        const auto read = table->read(group, row);
        if (!read) continue;
        fuzz::require(told && identity_of(*told) == identity_of(*read));
        for (const Conversation::Bytes& each : read->bytes) fuzz::require(!each.name.empty());
      }
      fuzz::require(!table->read(group, std::ssize(*samples)));
    }
    fuzz::require(!table || (!table->read(table->groups(), 0) && !table->read(-1, 0)));
  }
  ::close(fd);
  return 0;
}
