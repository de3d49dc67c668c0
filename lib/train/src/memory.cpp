#include "memory.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include <set>
#include <string>

#include "cornstarch/base/text.h"

namespace cornstarch::train {
namespace {

/// Bytes for each element of a parameter that trains, by what they are for.
struct ElementBytes {
  double value, gradient, master, moment;
};

ElementBytes bytes_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::fp64:
      return {8, 8, 0, 8};
    case config::Precision::fp32:
      return {4, 4, 0, 4};
    case config::Precision::bf16:
      return {2, 4, 4, 4};
    case config::Precision::bf16_pure:
      return {2, 2, 0, 2};
  }
  return {};
}

int moments_of(const config::Optimizer& optimizer) {
  if (optimizer.type == config::OptimizerType::adamw) return 2;
  return optimizer.momentum != 0 ? 1 : 0;
}

/// Of a rank's shards: elements of all parameters and of those that train.
struct Elements {
  double all = 0, training = 0;
};

/// A tied parameter counts once on a stage that holds both.
Elements elements_of(const catalog::Modality& modality, const plan::StagePlan& stage, int tp) {
  Elements sum;
  std::set<std::string> here;
  for (const int m : stage.modules) {
    const auto module = static_cast<std::size_t>(m);
    for (const catalog::ParamSpec& param : modality.spec.modules[module].params) {
      here.insert(param.name);
      if (here.count(param.tied_to) > 0) continue;
      const auto elements = static_cast<double>(plan::params_on_rank(param, tp));
      sum.all += elements;
      if (modality.trains[module] && !param.fixed) sum.training += elements;
    }
  }
  return sum;
}

}  // namespace

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

HeldBytes held_bytes(const config::RunConfig& config, const catalog::Modalities& modalities,
                     const plan::Plan& plan, int rank) {
  const ElementBytes bytes = bytes_of(config.precision);
  const bool all_shared = config.sharding == config::Sharding::zero3;
  HeldBytes held;
  for (const plan::Part& part : plan.ranks[static_cast<std::size_t>(rank)].parts) {
    const plan::ModalityPlan& sizes = plan.modalities[static_cast<std::size_t>(part.modality)];
    const Elements elements = elements_of(modalities[static_cast<std::size_t>(part.modality)],
                                          plan.stages[static_cast<std::size_t>(part.stage)], sizes.tp);
    const double sharers = config.sharding == config::Sharding::none ? 1 : plan.dp * sizes.sp;
    const double own = elements.training / sharers;
    held.parameters += bytes.value * elements.all / (all_shared ? sharers : 1);
    held.gradients += bytes.gradient * (all_shared ? own : elements.training);
    held.optimizer += own * (bytes.master + moments_of(config.optimizer) * bytes.moment);
  }
  return held;
}

void require_memory(const HeldBytes& held, c10::Device device, int rank) {
  if (device.is_cpu()) return;
  const auto [free, total] = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index());
  if (held.total() <= static_cast<double>(free)) return;
  throw Failure(
      ExitCode::infeasible,
      cat("rank ", rank, " holds ", human_bytes(held.total()), " (parameters ", human_bytes(held.parameters),
          ", gradients ", human_bytes(held.gradients), ", optimizer state ", human_bytes(held.optimizer),
          ") before any activation, but GPU ", static_cast<int>(device.index()), " has ",
          human_bytes(static_cast<double>(free)), " free of ", human_bytes(static_cast<double>(total))),
      "spread the model over more ranks (tp, stages), or set precision: bf16 or sharding: zero1 or zero3");
}

}  // namespace cornstarch::train
