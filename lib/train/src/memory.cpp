#include "memory.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include "cornstarch/base/text.h"

namespace cornstarch::train {

double peak_memory_bytes(c10::Device device) {
  if (device.is_cpu()) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
  }
  const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  constexpr auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return static_cast<double>(stats.allocated_bytes[all].peak);
}

void require_memory(const plan::HeldBytes& held, c10::Device device, int rank) {
  if (device.is_cpu()) return;
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
  if (held.total() <= static_cast<double>(free)) return;
  throw Failure(ExitCode::infeasible,
                cat("rank ", rank, " holds ", plan::describe(held), " before any activation, but GPU ",
                    static_cast<int>(device.index()), " has ", human_bytes(static_cast<double>(free)),
                    " free of ", human_bytes(static_cast<double>(total))),
                "spread the model over more ranks (tp, stages), or set sharding: zero1 or zero3");
}

}  // namespace cornstarch::train
