#include <filesystem>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/formats/safetensors.h"
#include "projector_file.h"
#include "resolve_context.h"
#include "surplus_weights.h"

namespace cornstarch::catalog {
namespace {

namespace fs = std::filesystem;
using formats::DType;
using formats::WeightsFolder;

bool is_float(DType dtype) {
  return dtype == DType::f64 || dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

/// The weight under the first of its names that the folder has.
WeightsFolder::Located locate(const WeightsFolder& weights, const ModelSpec& spec, const ParamSpec& param) {
  for (const std::string& name : weight_names(spec.family, param)) {
    if (const auto located = weights.find(name); located.entry) return located;
  }
  return {};
}

/// Where a weight would have been found, and under which longer name the folder has it, if it does.
std::string looked_for(const ModelSpec& spec, const ParamSpec& param, const WeightsFolder& weights) {
  const auto names = weight_names(spec.family, param);
  std::string text = cat("looked for under ", join(names, ", "));
  if (param.of_adapter) return text;
  for (const std::string& held : surplus_weights(spec, weights.names(), {})) {
    for (const std::string& name : names) {
      if (!held.ends_with("." + name)) continue;
      return cat(text, "; the folder has '", held,
                 "': of a whole checkpoint, every model needs a folder of its own");
    }
  }
  return text;
}

/// One text for all weights that are missing, one for each of the first that do not fit. False if there are
/// none at all.
bool compare(const Context& context, const std::string& path, const fs::path& folder, const ModelSpec& spec,
             const std::vector<const ParamSpec*>& params, const WeightsFolder& weights) {
  constexpr int kShown = 3;
  std::vector<const ParamSpec*> missing;
  int wrong = 0;
  for (const ParamSpec* param : params) {
    const auto located = locate(weights, spec, *param);
    const std::string& name = stored_name(*param);
    Shape shape = stored_shape(*param);
    if (located.transposed) std::swap(shape.at(0), shape.at(1));
    if (!located.entry) {
      missing.push_back(param);
      continue;
    }
    const bool fits = located.entry->shape == shape;
    if ((fits && is_float(located.entry->dtype)) || ++wrong > kShown) continue;
    context.error("bad_weights", path,
                  fits ? cat("'", folder.string(), "': weight '", name, "' is of dtype ",
                             name_of(located.entry->dtype), ", no floating-point numbers")
                       : cat("'", folder.string(), "': weight '", name, "' has the shape ",
                             describe_shape(located.entry->shape), ", expected ", describe_shape(shape)));
  }
  if (wrong > kShown) {
    context.error("bad_weights", path,
                  cat("'", folder.string(), "': ", wrong - kShown, " more weights do not fit"));
  }
  if (!missing.empty()) {
    context.error("bad_weights", path,
                  cat("'", folder.string(), "': ", missing.size(), " of ", params.size(),
                      " weights are missing, the first is '", stored_name(*missing.front()), "'"),
                  looked_for(spec, *missing.front(), weights));
  }
  return missing.size() < params.size();
}

/// Weights that nobody asked for: a model without them would be another one.
void refuse_surplus(const Context& context, const ModelSource& source, const ModelSpec& spec,
                    const WeightsFolder& weights) {
  constexpr std::size_t kShown = 4;
  const auto surplus = surplus_weights(spec, weights.names(), source.ignore_weights);
  if (surplus.empty()) return;
  auto patterns = patterns_of(surplus);
  const std::size_t more = patterns.size() > kShown ? patterns.size() - kShown : 0;
  patterns.resize(patterns.size() - more);
  const std::string meaning = meaning_of(*find_family(spec.family), surplus);
  context.error("surplus_weights", source.path + ".pretrained",
                cat("'", *source.pretrained, "': a model of family '", spec.family, "' has no place for ",
                    surplus.size(), surplus.size() == 1 ? " weight: " : " weights: ", join(patterns, ", "),
                    more > 0 ? cat(" and ", more, " more") : ""),
                cat(meaning.empty() ? "are family and config.json those of this folder?" : meaning,
                    meaning.empty() ? " Names" : "; names", " and patterns under ", source.path,
                    ".ignore_weights are left out"));
}

}  // namespace

void check_weights(const Context& context, const ModelSource& source, const ModelSpec& spec) {
  if (!source.pretrained) return;
  const fs::path place = *source.pretrained;
  const std::string path = source.path + ".pretrained";
  std::vector<const ParamSpec*> model, projector;
  for (const ModuleSpec& module : spec.modules) {
    for (const ParamSpec& param : module.params) {
      const bool counts = param.tied_to.empty() && (!param.stacked || param.stacked->first == 0);
      if (counts) (is_projector(module) ? projector : model).push_back(&param);
    }
  }
  const auto check = [&](const std::string& stem, const std::vector<const ParamSpec*>& params) {
    const auto weights = open_weights(place, stem);
    if (weights && stem == "projector" &&
        !check_projector(context, source.path, *source.encoder, place, weights->names()))
      return;
    if (!weights) {
      context.error("bad_weights", path, weights.error().message, weights.error().help);
    } else if (compare(context, path, place, spec, params, *weights)) {
      refuse_surplus(context, source, spec, *weights);
    }
  };
  check("model", model);
  if (source.encoder != nullptr && has_projector(place)) check("projector", projector);
}

void check_adapters(const Context& context, const std::string& path, const fs::path& folder,
                    const ModelSpec& spec) {
  const auto weights = WeightsFolder::open(folder, "adapter_model");
  if (!weights) return context.error("bad_weights", path, weights.error().message, weights.error().help);
  std::vector<const ParamSpec*> params;
  std::set<std::string> expected;
  for (const ModuleSpec& module : spec.modules)
    for (const ParamSpec& param : module.params)
      if (param.of_adapter) {
        params.push_back(&param);
        for (std::string& name : weight_names(spec.family, param)) expected.insert(std::move(name));
      }
  if (!compare(context, path, folder, spec, params, *weights)) return;
  std::vector<std::string> surplus;
  for (const std::string& name : weights->names())
    if (!expected.contains(name)) surplus.push_back(name);
  if (surplus.empty()) return;
  context.error("surplus_weights", path,
                cat("'", folder.string(), "': the config has no adapters for ", surplus.size(),
                    surplus.size() == 1 ? " weight: " : " weights: ", join(patterns_of(surplus), ", ")),
                "'targets' names the layers that have adapters");
}

}  // namespace cornstarch::catalog
