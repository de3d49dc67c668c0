#include "cornstarch/models/weights.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <optional>

#include "adapter_folder.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/formats/safetensors.h"
#include "cornstarch/models/dtypes.h"
#include "parameters.h"

namespace cornstarch::models {
namespace {

using formats::DType;
using formats::WeightsFolder;

/// The tensor where the file has it, no copy, unless it lies at an odd address.
at::Tensor mapped(std::span<const std::byte> bytes, const std::vector<std::int64_t>& shape,
                  at::ScalarType dtype) {
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (address % at::elementSize(dtype) == 0) {
    return at::from_blob(const_cast<std::byte*>(bytes.data()), shape, dtype);
  }
  const at::Tensor copy = at::empty(shape, dtype);
  std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
  return copy;
}

/// Reads shards one by one and collects what is wrong with them.
class Loader {
 public:
  Loader(const std::filesystem::path& folder, const catalog::Modality& modality,
         const std::string& stem = "model")
      : folder_(folder), modality_(modality), model_(value_or_throw(catalog::open_weights(folder, stem))) {
    if (!catalog::is_llm(modality) && catalog::has_projector(folder)) {
      projector_ = value_or_throw(catalog::open_weights(folder, "projector"));
    }
  }

  /// Reads some elements of a shard. False where the folder need not have it: the parameter keeps its value.
  bool load(Parameter& p, Range elements) {
    // HF keeps one of two tied weights; where a file has both, the embedding's counts.
    const std::string& family = modality_.spec.family;
    const auto names = p.spec->tied_to.empty() ? catalog::weight_names(family, *p.spec)
                                               : catalog::weight_names(family, p.spec->tied_to);
    const bool projector = catalog::of_projector(p.spec->name);
    if (projector && !projector_) return false;
    for (const std::string& candidate : names) {
      const WeightsFolder::Located found = (projector ? *projector_ : model_).find(candidate);
      if (found.entry == nullptr) continue;
      copy(candidate, found, p, elements);
      return true;
    }
    problems_.push_back(cat("missing: ", names.front()));
    return true;
  }

  bool has_projector() const { return projector_.has_value(); }

  void finish() const {
    if (problems_.empty()) return;
    throw Failure(ExitCode::bad_data,
                  cat(folder_.string(), " does not fit ", modality_.name, " (", modality_.spec.family,
                      "):\n  ", join(problems_, "\n  ")),
                  "config.json and the weights must be of the same model");
  }

 private:
  void copy(const std::string& name, const WeightsFolder::Located& found, Parameter& p, Range elements) {
    const auto dtype = scalar_type(found.entry->dtype);
    catalog::Shape expected = catalog::stored_shape(*p.spec);
    if (found.transposed) std::swap(expected.at(0), expected.at(1));
    if (found.entry->shape != expected) {
      problems_.push_back(cat("shape of ", name, ": expected ", describe_shape(expected), ", got ",
                              describe_shape(found.entry->shape)));
    } else if (!dtype) {
      problems_.push_back(
          cat("type of ", name, ": ", formats::name_of(found.entry->dtype), " is no floating-point type"));
    } else {
      at::Tensor source = mapped(found.file->bytes(*found.entry), found.entry->shape, *dtype);
      if (found.transposed) source = source.t();
      if (const auto& stacked = p.spec->stacked)
        source = source.narrow(0, stacked->first, p.spec->shape.at(0));
      if (p.split_dim >= 0) source = source.narrow(p.split_dim, p.offset, p.value.size(p.split_dim));
      // Only what is needed is read, and a GPU converts it.
      const auto some = [&](const at::Tensor& x) {
        return x.reshape(-1).narrow(0, elements.begin, elements.size());
      };
      some(p.value.detach()).copy_(some(source).to(p.value.device()));
    }
  }

  std::filesystem::path folder_;
  const catalog::Modality& modality_;
  WeightsFolder model_;
  std::optional<WeightsFolder> projector_;
  std::vector<std::string> problems_;
};

/// A type as transformers' config.json has it.
const char* name_in_config(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return "float64";
    case at::kFloat:
      return "float32";
    case at::kHalf:
      return "float16";
    default:
      return "bfloat16";
  }
}

/// The first tensor that has a finite value which is not finite in `dtype`, or nothing.
const NamedTensor* first_beyond(const std::vector<NamedTensor>& tensors, at::ScalarType dtype) {
  for (const NamedTensor& t : tensors)
    if (t.value.scalar_type() != dtype &&
        at::isfinite(t.value).logical_and_(at::isfinite(t.value.to(dtype)).logical_not_()).any().item<bool>())
      return &t;
  return nullptr;
}

const catalog::ParamSpec& find_param(const catalog::ModelSpec& spec, const std::string& name) {
  for (const catalog::ModuleSpec& module : spec.modules)
    for (const catalog::ParamSpec& param : module.params)
      if (param.name == name) return param;
  throw Failure(ExitCode::internal, cat("the ", spec.family, " family has no parameter ", name));
}

/// Tensors on their way into one file; holds the memory that `entries` speak of.
struct Outgoing {
  std::vector<at::Tensor> values;
  std::vector<formats::TensorToWrite> entries;
  std::map<std::string, at::Tensor> stacks;  // by name: what several parameters are written into

  void add(std::string name, const catalog::ParamSpec& param, const at::Tensor& tensor) {
    if (!param.stacked) return add(std::move(name), tensor);
    at::Tensor& stack = stacks[name];
    if (!stack.defined()) {
      stack = at::empty(catalog::stored_shape(param), tensor.options());
      add(std::move(name), stack);
    }
    stack.narrow(0, param.stacked->first, param.shape.at(0)).copy_(tensor);
  }

  void add(std::string name, const at::Tensor& tensor) {
    const at::Tensor value = tensor.detach().contiguous();
    const auto* data = static_cast<const std::byte*>(value.const_data_ptr());
    entries.push_back(
        {std::move(name), file_type(value.scalar_type()), value.sizes().vec(), {data, value.nbytes()}});
    values.push_back(value);
  }
};

}  // namespace

void load_pretrained(const std::filesystem::path& folder, const catalog::Modality& modality,
                     std::vector<Parameter>& parameters) {
  const at::NoGradGuard no_grad;
  Loader loader(folder, modality);
  for (Parameter& p : parameters)
    if (!p.spec->of_adapter) loader.load(p, {0, p.value.numel()});
  loader.finish();
}

struct FirstValues::Impl {
  const catalog::Modality& modality;
  std::uint64_t seed;
  std::optional<Loader> loader, adapters;
};

FirstValues::FirstValues(const catalog::Modality& modality, std::uint64_t seed)
    : impl_(new Impl{modality, seed, std::nullopt, std::nullopt}) {
  if (modality.pretrained) impl_->loader.emplace(*modality.pretrained, modality);
  if (modality.lora && modality.lora->pretrained)
    impl_->adapters.emplace(*modality.lora->pretrained, modality, "adapter_model");
}

FirstValues::~FirstValues() = default;

void FirstValues::fill(Parameter& parameter) { fill(parameter, {0, parameter.value.numel()}); }

void FirstValues::fill(Parameter& parameter, Range elements) {
  const at::NoGradGuard no_grad;
  std::optional<Loader>& adapters = impl_->adapters;
  const bool beside = adapters && adapters->has_projector() && catalog::of_projector(parameter.spec->name);
  std::optional<Loader>& loader = parameter.spec->of_adapter || beside ? adapters : impl_->loader;
  if (loader && loader->load(parameter, elements)) return;
  draw(parameter, impl_->modality, impl_->seed, elements);
}

void FirstValues::check() const {
  if (impl_->loader) impl_->loader->finish();
  if (impl_->adapters) impl_->adapters->finish();
}

void save_pretrained(const std::filesystem::path& folder, const catalog::Modality& modality,
                     std::vector<NamedTensor> tensors, at::ScalarType dtype) {
  if (const NamedTensor* beyond = first_beyond(tensors, dtype)) {
    log::warning(cat(modality.name, " is written in float32: ", beyond->name, " has values beyond ",
                     name_in_config(dtype)));
    dtype = at::kFloat;
  }
  const bool adapters_only = modality.lora && !modality.lora->merge;
  if (modality.lora && modality.lora->merge) tensors = merged(modality, std::move(tensors));
  Outgoing model, projector, adapters;
  for (NamedTensor& tensor : tensors) {
    const catalog::ParamSpec& param = find_param(modality.spec, tensor.name);
    if (!param.tied_to.empty()) continue;
    tensor.value = tensor.value.to(dtype);
    Outgoing& file = param.of_adapter ? adapters : catalog::of_projector(tensor.name) ? projector : model;
    file.add(catalog::weight_names(modality.spec.family, param).front(), param, tensor.value);
  }
  value_or_throw(make_folders(folder));
  if (adapters_only) {
    value_or_throw(formats::write_safetensors(folder / "adapter_model.safetensors", adapters.entries));
    value_or_throw(write_file_atomically(folder / "adapter_config.json", adapter_config(modality)));
  } else {
    value_or_throw(formats::write_safetensors(folder / "model.safetensors", model.entries));
    const std::string config = catalog::config_json(modality.spec, name_in_config(dtype));
    value_or_throw(write_file_atomically(folder / "config.json", config));
  }
  if (projector.entries.empty()) return;
  value_or_throw(formats::write_safetensors(folder / "projector.safetensors", projector.entries));
  value_or_throw(write_file_atomically(folder / "projector_config.json", modality.projector_config));
}

}  // namespace cornstarch::models
