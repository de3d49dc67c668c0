#include <filesystem>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/formats/safetensors.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

namespace fs = std::filesystem;
using formats::DType;
using formats::WeightsFolder;

std::string shown_shape(const Shape& shape) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : shape) sizes.push_back(std::to_string(size));
  return cat("[", join(sizes, ", "), "]");
}

bool is_float(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

/// The weight under the first of its names that the folder has.
WeightsFolder::Located locate(const WeightsFolder& weights, const std::string& family,
                              const std::string& param) {
  for (const std::string& name : weight_names(family, param)) {
    if (const auto located = weights.find(name); located.entry) return located;
  }
  return {};
}

/// One text for all weights that are missing, one for each of the first that do not fit.
void compare(const Context& context, const std::string& path, const fs::path& folder,
             const std::string& family, const std::vector<const ParamSpec*>& params,
             const WeightsFolder& weights) {
  constexpr int kShown = 3;
  std::vector<std::string> missing;
  int wrong = 0;
  for (const ParamSpec* param : params) {
    const auto located = locate(weights, family, param->name);
    if (!located.entry) {
      missing.push_back(param->name);
      continue;
    }
    const bool fits = located.entry->shape == param->shape;
    if ((fits && is_float(located.entry->dtype)) || ++wrong > kShown) continue;
    context.error("bad_weights", path,
                  fits ? cat("'", folder.string(), "': weight '", param->name, "' is of dtype ",
                             name_of(located.entry->dtype), ", no floating-point numbers")
                       : cat("'", folder.string(), "': weight '", param->name, "' has the shape ",
                             shown_shape(located.entry->shape), ", expected ", shown_shape(param->shape)));
  }
  if (wrong > kShown) {
    context.error("bad_weights", path,
                  cat("'", folder.string(), "': ", wrong - kShown, " more weights do not fit"));
  }
  if (!missing.empty()) {
    context.error("bad_weights", path,
                  cat("'", folder.string(), "': ", missing.size(), " of ", params.size(),
                      " weights are missing, the first is '", missing.front(), "'"),
                  cat("looked for under ", join(weight_names(family, missing.front()), ", ")));
  }
}

}  // namespace

void check_weights(const Context& context, const ModelSource& source, const ModelSpec& spec) {
  if (!source.pretrained) return;
  const fs::path folder = *source.pretrained;
  const std::string path = source.path + ".pretrained";
  std::vector<const ParamSpec*> model, projector;
  for (const ModuleSpec& module : spec.modules) {
    const bool is_projector = std::holds_alternative<Projector>(module.body);
    for (const ParamSpec& param : module.params) {
      if (param.tied_to.empty()) (is_projector ? projector : model).push_back(&param);
    }
  }
  const auto check = [&](const std::string& stem, const std::vector<const ParamSpec*>& params) {
    const auto weights = WeightsFolder::open(folder, stem);
    if (weights) return compare(context, path, folder, spec.family, params, *weights);
    context.error("bad_weights", path, weights.error().message, weights.error().help);
  };
  check("model", model);
  std::error_code ignored;
  if (!projector.empty() && fs::exists(folder / "projector.safetensors", ignored))
    check("projector", projector);
}

}  // namespace cornstarch::catalog
