#include <algorithm>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/catalog/lora.h"
#include "hf_config.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

/// adapter_config.json decides what its weights mean as much as they do.
void check_adapter_config(const Context& context, const std::string& own, const config::Lora& lora) {
  const std::filesystem::path folder = *lora.pretrained;
  const auto text = read_file(folder / "adapter_config.json", kMaxBytes);
  const Json json = text && !nests_deeper(*text, 64) ? Json::parse(*text, nullptr, false) : Json();
  if (!json.is_object())
    return context.error("bad_adapters", own + ".pretrained",
                         cat("'", folder.string(), "' has no adapter_config.json that can be read"),
                         text ? "" : text.error().message);
  const auto compare = [&](const char* theirs, const char* ours, double value) {
    const Json said = json.value(theirs, Json());
    if (said.is_number() && said.get<double>() == value) return;
    context.error("bad_adapters", cat(own, ".", ours),
                  cat("the adapters in '", folder.string(), "' have ", theirs, " ", said.dump(),
                      " (adapter_config.json), the config says ", value),
                  said.is_number() ? cat("set ", ours, ": ", said.dump()) : "");
  };
  compare("r", "rank", lora.rank);
  compare("lora_alpha", "alpha", lora.alpha);
  if (const Json said = json.value("lora_dropout", Json(0.0)); said != lora.dropout)
    context.warning("other_dropout", own + ".dropout",
                    cat("the adapters in '", folder.string(), "' were trained with lora_dropout ",
                        said.dump(), " (adapter_config.json), the config says ", lora.dropout),
                    said.is_number() ? cat("to go on as they were trained, set dropout: ", said.dump()) : "");
  // What would make other numbers of the same weights.
  for (const char* key :
       {"use_rslora", "use_dora", "fan_in_fan_out", "lora_bias", "rank_pattern", "alpha_pattern"}) {
    const Json said = json.value(key, Json());
    if (said.is_null() || said == false || (said.is_object() && said.empty())) continue;
    context.error(
        "bad_adapters", own + ".pretrained",
        cat("the adapters in '", folder.string(), "' have ", key, " ", said.dump(), ", which is not known"));
  }
}

}  // namespace

void resolve_lora(const Context& context, const std::optional<config::Lora>& lora, const PartTraining& part,
                  const std::string& path, Modality& modality) {
  if (!lora) return;
  const std::string own = path + ".lora";
  if (!part.trains)
    context.error("never_trains", own, cat("'", own, "' has nothing to train: ", part.flag, " is false"),
                  "set it to true: adapters train, the model's own weights do not");
  const std::vector<std::string> known = lora_targets(modality.spec);
  std::vector<std::string> targets = lora->targets;
  if (targets == std::vector<std::string>{"all-linear"}) targets = known;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (std::find(known.begin(), known.end(), targets[i]) != known.end()) continue;
    const std::string guess = did_you_mean(targets[i], known);
    context.error("unknown_target", cat(own, ".targets[", i, "]"),
                  cat("'", modality.name, "' has no layers called '", targets[i], "'"),
                  cat(guess, guess.empty() ? "it has " : " It has ", join(known, ", ")));
  }
  add_adapters(modality.spec, targets, {lora->rank, lora->alpha / lora->rank, lora->dropout});
  modality.lora = lora;
  modality.lora->targets = targets;
  if (!lora->pretrained) return;
  check_adapter_config(context, own, *lora);
  check_adapters(context, own + ".pretrained", *lora->pretrained, modality.spec);
}

}  // namespace cornstarch::catalog
