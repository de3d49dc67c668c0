#include "cornstarch/catalog/model_spec.h"

#include <algorithm>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/module_kind.h"

namespace cornstarch::catalog {
namespace {

bool any_rope(const ModelSpec& spec, const auto& holds) {
  return std::any_of(spec.modules.begin(), spec.modules.end(), [&](const ModuleSpec& module) {
    const AttentionSpec* attention = attention_of(module);
    return attention != nullptr && attention->rope && holds(*attention->rope);
  });
}

}  // namespace

const char* name_of(ModelKind kind) {
  switch (kind) {
    case ModelKind::vision:
      return "vision";
    case ModelKind::audio:
      return "audio";
    case ModelKind::llm:
      break;
  }
  return "llm";
}

MediaKind media_of(ModelKind encoder) {
  return encoder == ModelKind::audio ? MediaKind::audio : MediaKind::image;
}

std::map<std::int64_t, double> window_shares(const ModelSpec& spec) {
  std::map<std::int64_t, double> layers;
  double all = 0;
  for (const ModuleSpec& module : spec.modules)
    if (const AttentionSpec* attention = attention_of(module)) {
      ++layers[attention->window];
      ++all;
    }
  if (layers.empty()) return {{0, 1}};
  for (auto& [_, share] : layers) share /= all;
  return layers;
}

std::int64_t common_window(const ModelSpec& spec) {
  const auto windows = window_shares(spec);
  return windows.size() == 1 ? windows.begin()->first : 0;
}

std::set<std::int64_t> windows_of(const ModelSpec& spec, std::int64_t length) {
  std::set<std::int64_t> windows;
  for (const auto& [window, _] : window_shares(spec))
    if (window > 0 && window < length) windows.insert(window);
  return windows;
}

bool notices_length(const ModelSpec& spec, std::int64_t length) {
  return any_rope(spec, [&](const RopeSpec& rope) {
    return rope.depends_on_length() && length > rope.original_max_positions;
  });
}

bool notices_grids(const ModelSpec& spec) {
  return any_rope(spec, [](const RopeSpec& rope) { return !rope.sections.empty(); });
}

bool trains(const ModuleSpec& module) {
  return std::any_of(module.params.begin(), module.params.end(), [](const ParamSpec& p) { return p.trains; });
}

void set_trains(ModuleSpec& module, bool wanted) {
  for (ParamSpec& param : module.params) param.trains = wanted && !param.fixed;
}

const std::string& stored_name(const ParamSpec& param) {
  return param.stacked ? param.stacked->name : param.name;
}

Shape stored_shape(const ParamSpec& param) {
  Shape shape = param.shape;
  if (param.stacked) shape.at(0) = param.stacked->rows;
  return shape;
}

std::int64_t num_params(const ModuleSpec& module) {
  std::int64_t total = 0;
  for (const ParamSpec& param : module.params) {
    if (param.tied_to.empty()) total += checked_numel(param.shape).value_or(0);
  }
  return total;
}

}  // namespace cornstarch::catalog
