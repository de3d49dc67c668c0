#include "cornstarch/catalog/model_spec.h"

#include <algorithm>

#include "cornstarch/base/checked.h"

namespace cornstarch::catalog {

std::int64_t common_window(const ModelSpec& spec) {
  std::set<std::int64_t> windows;
  for (const ModuleSpec& module : spec.modules)
    if (const auto* block = std::get_if<BlockSpec>(&module.body)) windows.insert(block->attention.window);
  return windows.size() == 1 ? *windows.begin() : 0;
}

std::set<std::int64_t> windows_of(const ModelSpec& spec, std::int64_t length) {
  std::set<std::int64_t> windows;
  for (const ModuleSpec& module : spec.modules) {
    const auto* block = std::get_if<BlockSpec>(&module.body);
    const std::int64_t window = block != nullptr ? block->attention.window : 0;
    if (window > 0 && window < length) windows.insert(window);
  }
  return windows;
}

bool trains(const ModuleSpec& module) {
  return std::any_of(module.params.begin(), module.params.end(), [](const ParamSpec& p) { return p.trains; });
}

void set_trains(ModuleSpec& module, bool wanted) {
  for (ParamSpec& param : module.params) param.trains = wanted && !param.fixed;
}

std::int64_t num_params(const ModuleSpec& module) {
  std::int64_t total = 0;
  for (const ParamSpec& param : module.params) {
    if (param.tied_to.empty()) total += checked_numel(param.shape).value_or(0);
  }
  return total;
}

}  // namespace cornstarch::catalog
