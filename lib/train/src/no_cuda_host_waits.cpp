#include "host_waits.h"

namespace cornstarch::train {

struct HostWaits::Impl {
  std::vector<double> none;
};

HostWaits::HostWaits(c10::Device) : impl_(std::make_unique<Impl>()) {}
HostWaits::~HostWaits() = default;
const std::vector<double>& HostWaits::moments() const { return impl_->none; }

}  // namespace cornstarch::train
