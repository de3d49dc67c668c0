#include <c10/cuda/CUDAFunctions.h>
#include <c10/util/Exception.h>

#include <optional>
#include <string_view>

#include "cornstarch/base/wall_time.h"
#include "host_waits.h"

namespace cornstarch::train {
namespace {

using c10::cuda::SyncDebugMode;

}  // namespace

/// LibTorch warns of every wait when asked to.
struct HostWaits::Impl : c10::WarningHandler {
  explicit Impl(bool listens) {
    if (!listens) return;
    c10::cuda::warning_state().set_sync_debug_mode(SyncDebugMode::L_WARN);
    guard.emplace(this);
  }
  ~Impl() override {
    if (guard) c10::cuda::warning_state().set_sync_debug_mode(SyncDebugMode::L_DISABLED);
  }

  void process(const c10::Warning& warning) override {
    if (std::string_view(warning.msg()).find("synchronizing CUDA operation") == std::string_view::npos)
      c10::WarningHandler::process(warning);
    else
      moments.push_back(wall_time_s());
  }

  std::vector<double> moments;
  std::optional<c10::WarningUtils::WarningHandlerGuard> guard;
};

HostWaits::HostWaits(c10::Device device) : impl_(std::make_unique<Impl>(device.is_cuda())) {}
HostWaits::~HostWaits() = default;
const std::vector<double>& HostWaits::moments() const { return impl_->moments; }

}  // namespace cornstarch::train
