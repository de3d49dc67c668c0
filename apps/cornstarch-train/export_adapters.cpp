#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/lora.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/whole_model.h"
#include "export_whole.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;
using catalog::Modality;
using catalog::ParamSpec;
using formats::WeightsFolder;
using Json = nlohmann::ordered_json;

/// For an expression.
std::string escaped(std::string name) {
  for (std::size_t i = 0; (i = name.find('.', i)) != std::string::npos; i += 2) name.insert(i, "\\");
  return name;
}

class AdapterWriter {
 public:
  AdapterWriter(const TrainedWhole& trained, std::string model_type)
      : trained_(trained), type_(std::move(model_type)) {}

  Result<ExportedWhole> write(const fs::path& out) {
    for (const Modality& modality : trained_.parts)
      if (auto done = add(modality); !done) return tl::unexpected(done.error());
    if (lora_ == nullptr)
      return fail(ExitCode::usage, "the run has no adapters", "without --adapters, the whole is written");
    auto done = make_folders(out);
    if (done) done = formats::write_safetensors(out / "adapter_model.safetensors", tensors_);
    if (done) done = write_file_atomically(out / "adapter_config.json", config());
    if (!done) return tl::unexpected(done.error());
    return ExportedWhole{tensors_.size(), tensors_.size()};
  }

 private:
  /// As PEFT calls it: by the name in transformers' class of the whole.
  WeightsFolder::Renamed name_of(const Modality& modality, const ParamSpec& param, bool projector) const {
    if (projector) return catalog::name_in_class(type_, {"projector", param.name});
    ParamSpec named = param;
    named.of_adapter = true;  // whose names are the class's
    const std::string own = catalog::weight_names(modality.spec.family, named).front();
    return catalog::name_in_class(
        type_, {catalog::place_of(*modality.pretrained).part, own.substr(catalog::kPeftPrefix.size())});
  }

  Result<void> add(const Modality& modality) {
    const fs::path folder = trained_.models / modality.name;
    if (modality.lora) {
      if (modality.lora->merge)
        return fail(ExitCode::usage,
                    cat("the run has added the adapters of '", modality.name, "' to its weights"),
                    "without --adapters, the whole is written");
      if (lora_ != nullptr && (lora_->rank != modality.lora->rank || lora_->alpha != modality.lora->alpha))
        return fail(ExitCode::usage,
                    "the run's adapters have different ranks or alphas, PEFT's of one model one",
                    "without --adapters, they are added to the weights");
      lora_ = &*modality.lora;
    }
    for (const catalog::ModuleSpec& module : modality.spec.modules)
      for (const ParamSpec& param : module.params)
        if (auto done = add(modality, module, param, folder); !done) return done;
    return {};
  }

  Result<void> add(const Modality& modality, const catalog::ModuleSpec& module, const ParamSpec& param,
                   const fs::path& folder) {
    const bool projector = catalog::is_projector(module);
    if (!param.of_adapter && !(param.trains && (projector || !modality.lora))) return {};
    if (!param.tied_to.empty() || (param.stacked && param.stacked->first > 0)) return {};
    const std::string stem = param.of_adapter ? "adapter_model" : projector ? "projector" : "model";
    const auto weights = open(folder, stem);
    if (!weights) return tl::unexpected(weights.error());
    const std::string own =
        projector ? param.name : catalog::weight_names(modality.spec.family, param).front();
    const auto found = (*weights)->find(own);
    if (found.entry == nullptr)
      return fail(ExitCode::bad_data, cat("'", folder.string(), "' has no weight '", own, "'"));
    ParamSpec stored = param;
    stored.name = catalog::stored_name(param);
    const auto [name, turned] = name_of(modality, stored, projector);
    auto shape = found.entry->shape;
    auto bytes = found.file->bytes(*found.entry);
    if (turned) {
      bytes = turned_.emplace_back(transposed(bytes, shape.at(0), shape.at(1), found.entry->dtype));
      std::swap(shape[0], shape[1]);
    }
    tensors_.push_back({std::string(catalog::kPeftPrefix) + name, found.entry->dtype, shape, bytes});
    if (param.of_adapter) {
      targets_.insert(name.substr(0, name.rfind(".lora_")));
    } else if (projector) {
      saved_.insert(name.substr(0, name.find('.', name.find('.') + 1)));  // model.multi_modal_projector
    } else {
      saved_.insert(name.substr(0, name.size() - (stored.name.size() - module.name.size())));
    }
    return {};
  }

  Result<const WeightsFolder*> open(const fs::path& folder, const std::string& stem) {
    const std::string key = (folder / stem).string();
    if (const auto it = opened_.find(key); it != opened_.end()) return &it->second;
    auto weights = WeightsFolder::open(folder, stem);
    if (!weights) return tl::unexpected(weights.error());
    return &opened_.emplace(key, std::move(*weights)).first->second;
  }

  std::string config() const {
    std::vector<std::string> layers;
    for (const std::string& target : targets_) layers.push_back(escaped(target));
    const Json none;
    const Json json = {{"peft_type", "LORA"},
                       {"task_type", none},
                       {"base_model_name_or_path", trained_.whole.string()},
                       {"r", lora_->rank},
                       {"lora_alpha", lora_->alpha},
                       {"lora_dropout", lora_->dropout},
                       {"target_modules", join(layers, "|")},
                       {"bias", "none"},
                       {"fan_in_fan_out", false},
                       {"init_lora_weights", true},
                       {"inference_mode", true},
                       {"modules_to_save", saved_.empty() ? none : Json(saved_)}};
    return json.dump(2) + "\n";
  }

  const TrainedWhole& trained_;
  std::string type_;
  const config::Lora* lora_ = nullptr;
  std::map<std::string, WeightsFolder> opened_;
  std::vector<formats::TensorToWrite> tensors_;
  std::deque<std::vector<std::byte>> turned_;  // bytes that lie in no file
  std::set<std::string> targets_, saved_;
};

}  // namespace

Result<ExportedWhole> export_adapters(const TrainedWhole& trained, const fs::path& out) {
  const auto whole = catalog::read_whole(trained.whole);
  if (!whole) return tl::unexpected(whole.error());
  return AdapterWriter(trained, whole->model_type).write(out);
}

}  // namespace cornstarch::app
