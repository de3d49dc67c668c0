#pragma once

#include <filesystem>
#include <optional>

namespace cornstarch::launch {

struct HostMemory {
  double available = 0;  ///< bytes that can be taken without swapping
  bool of_a_cgroup =
      false;  ///< a control group (a container, a job of Slurm) allows less than the machine has
};

/// What this process and its neighbours may still take: the least of MemAvailable and what each control group
/// above this process (versions 1 and 2) leaves. Caches that the kernel would give back count as free.
/// Nothing where the kernel does not say. `root` stands for "/".
std::optional<HostMemory> host_memory(const std::filesystem::path& root = "/");

}  // namespace cornstarch::launch
