#include "cornstarch/launch/host_memory.h"

#include <unistd.h>

#include <fstream>

#include "catch.h"
#include "cornstarch/base/text.h"

using namespace cornstarch;
namespace fs = std::filesystem;

namespace {

/// A "/" of our own.
struct Root {
  fs::path path = fs::temp_directory_path() / cat("cornstarch-host-memory-", ::getpid());
  Root() { write("proc/meminfo", "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 1000 kB\n"); }
  ~Root() { fs::remove_all(path); }
  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((path / file).parent_path());
    std::ofstream(path / file) << text;
  }
  std::pair<double, bool> memory() const {
    const auto found = launch::host_memory(path);
    return found ? std::pair(found->available, found->of_a_cgroup) : std::pair(-1.0, false);
  }
};

}  // namespace

TEST_CASE("without control groups it is what the kernel calls available") {
  const Root root;
  CHECK(root.memory() == std::pair(1024000.0, false));
  fs::remove(root.path / "proc/meminfo");
  CHECK(root.memory() == std::pair(-1.0, false));
}

TEST_CASE("a control group of version 2 and those above it may allow less; its caches count as free") {
  const Root root;
  root.write("proc/self/cgroup", "0::/job/step\n");
  const std::string group = "sys/fs/cgroup/job/";
  root.write(group + "step/memory.max", "max\n");
  root.write(group + "step/memory.current", "100000\n");
  CHECK(root.memory() == std::pair(1024000.0, false));
  root.write(group + "memory.max", "600000\n");
  root.write(group + "memory.current", "500000\n");
  CHECK(root.memory() == std::pair(100000.0, true));
  root.write(group + "memory.stat", "anon 200000\nfile 300000\ninactive_file 250000\n");
  CHECK(root.memory() == std::pair(350000.0, true));
  root.write(group + "step/memory.max", "150000\n");
  CHECK(root.memory() == std::pair(50000.0, true));
  root.write(group + "step/memory.current", "150001\n");
  CHECK(root.memory() == std::pair(0.0, true));
}

TEST_CASE("a control group of version 1, in a container that does not see its own name") {
  const Root root;
  root.write("proc/self/cgroup", "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n");
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "800000\n");
  root.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "300000\n");
  root.write("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 100000\n");
  CHECK(root.memory() == std::pair(600000.0, true));
  root.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  CHECK(root.memory() == std::pair(1024000.0, false));
}
