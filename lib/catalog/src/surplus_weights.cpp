#include "surplus_weights.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "cornstarch/base/text.h"

namespace cornstarch::catalog {
namespace {

bool fits(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

bool fits_any(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return fits(pattern, name); });
}

/// What the weights of any family may be mixed with.
const std::vector<Telltale>& common_telltales() {
  static const std::vector<Telltale> telltales = {
      {"*.lora_[AB].*", "they are LoRA adapters: merge them into the model first (PEFT's merge_and_unload)"},
      {"*.qweight", "they are quantized, which is not supported"},
      {"*.weight_scale*", "they are quantized, which is not supported"},
      {"*.absmax", "they are quantized, which is not supported"},
      {"*vision_tower.*", "they are a whole checkpoint's, of which every model needs a folder of its own"},
      {"*language_model.*", "they are a whole checkpoint's, of which every model needs a folder of its own"},
      {"*multi_modal_projector.*",
       "they are a whole checkpoint's, of which every model needs a folder of its own"}};
  return telltales;
}

}  // namespace

std::vector<std::string> surplus_weights(const ModelSpec& spec, const std::vector<std::string>& names,
                                         const std::vector<std::string>& ignored) {
  const Family& family = *find_family(spec.family);
  std::set<std::string> expected;
  for (const ModuleSpec& module : spec.modules) {
    for (const ParamSpec& param : module.params) {
      for (std::string& name : weight_names(spec.family, stored_name(param)))
        expected.insert(std::move(name));
    }
  }
  std::vector<std::string> surplus;
  for (const std::string& name : names) {
    if (expected.count(name) > 0 || fits_any(family.ignored_weights, name) || fits_any(ignored, name))
      continue;
    surplus.push_back(name);
  }
  return surplus;
}

std::vector<std::string> patterns_of(const std::vector<std::string>& names) {
  std::vector<std::string> patterns;
  for (const std::string& name : names) {
    std::vector<std::string> parts = split(name, '.');
    for (std::string& part : parts) {
      if (!part.empty() && part.find_first_not_of("0123456789") == std::string::npos) part = "*";
    }
    std::string pattern = join(parts, ".");
    if (std::find(patterns.begin(), patterns.end(), pattern) == patterns.end())
      patterns.push_back(std::move(pattern));
  }
  return patterns;
}

std::string meaning_of(const Family& family, const std::vector<std::string>& surplus) {
  for (const auto* telltales : {&common_telltales(), &family.telltales}) {
    for (const Telltale& telltale : *telltales) {
      if (std::any_of(surplus.begin(), surplus.end(),
                      [&](const std::string& name) { return fits(telltale.pattern, name); }))
        return telltale.meaning;
    }
  }
  return "";
}

}  // namespace cornstarch::catalog
