#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <vector>

namespace cornstarch::train {

/// While it lives, notes each moment at which this thread begins to wait for a GPU in LibTorch: a copy to the
/// host or from memory that is not pinned, a value that is read. On the CPU there are none.
class HostWaits {
 public:
  explicit HostWaits(c10::Device device);
  ~HostWaits();

  /// Seconds since the epoch.
  const std::vector<double>& moments() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::train
