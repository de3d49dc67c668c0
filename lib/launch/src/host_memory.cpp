#include "cornstarch/launch/host_memory.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace cornstarch::launch {
namespace {

namespace fs = std::filesystem;

/// The number behind `key` in lines such as "MemAvailable:  123 kB".
std::optional<double> value_of(const fs::path& file, const std::string& key) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    double value = 0;
    if (word == key && in >> value) return value;
  }
  return std::nullopt;
}

/// A file of one number; nothing for "max".
std::optional<double> number_in(const fs::path& file) {
  std::ifstream in(file);
  double value = 0;
  if (in >> value) return value;
  return std::nullopt;
}

struct Files {
  const char *limit, *usage, *cache;
};
constexpr Files kVersion1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr Files kVersion2{"memory.max", "memory.current", "inactive_file"};

/// What a group and those above it leave.
std::optional<double> left_by(const fs::path& mount, fs::path group, const Files& files) {
  std::optional<double> least;
  for (group = group.relative_path();; group = group.parent_path()) {
    const fs::path folder = mount / group;
    const auto limit = number_in(folder / files.limit);
    const auto usage = number_in(folder / files.usage);
    if (limit && usage) {
      const double cache = value_of(folder / "memory.stat", files.cache).value_or(0);
      const double left = std::max(0.0, *limit - std::max(0.0, *usage - cache));
      least = std::min(least.value_or(left), left);
    }
    if (group.empty()) return least;
  }
}

/// Of the lines of /proc/self/cgroup, "4:memory:/slurm/job_1" (version 1) or "0::/user.slice" (version 2).
std::optional<double> left_by_cgroups(const fs::path& root) {
  std::optional<double> least;
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool second_version = controllers == ",,";
    if (!second_version && controllers.find(",memory,") == std::string::npos) continue;
    const fs::path mount = root / (second_version ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    const auto left = left_by(mount, line.substr(second + 1), second_version ? kVersion2 : kVersion1);
    if (left) least = std::min(least.value_or(*left), *left);
  }
  return least;
}

}  // namespace

std::optional<HostMemory> host_memory(const fs::path& root) {
  const auto kilobytes = value_of(root / "proc/meminfo", "MemAvailable:");
  const auto group = left_by_cgroups(root);
  if (!kilobytes && !group) return std::nullopt;
  const double machine = kilobytes ? *kilobytes * 1024 : *group;
  if (group && *group < machine) return HostMemory{*group, true};
  return HostMemory{machine, !kilobytes};
}

}  // namespace cornstarch::launch
