#include "cornstarch/catalog/model_spec.h"

#include "cornstarch/base/checked.h"

namespace cornstarch::catalog {

std::int64_t num_params(const ModuleSpec& module) {
  std::int64_t total = 0;
  for (const ParamSpec& param : module.params) {
    if (param.tied_to.empty()) total += checked_numel(param.shape).value_or(0);
  }
  return total;
}

}  // namespace cornstarch::catalog
