#include "export_whole.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/lora.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/dataio/tokenizer.h"
#include "cornstarch/formats/numbers.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;
using catalog::ParamSpec;
using formats::DType;
using formats::TensorEntry;
using formats::TensorToWrite;
using formats::WeightsFolder;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMostText = std::size_t{256} << 20;

/// What the run wrote of one modality, and which of its weights it made.
class Part {
 public:
  Part(const catalog::Modality& modality, const fs::path& folder) : modality_(modality), folder_(folder) {
    for (const catalog::ModuleSpec& module : modality.spec.modules) {
      const bool projector = catalog::is_projector(module);
      for (const ParamSpec& param : module.params) add(param, projector);
    }
    for (const catalog::LinearSpec* layer : catalog::adapted_layers(modality.spec))
      for (const std::string& name : catalog::weight_names(modality.spec.family, layer->prefix + ".weight"))
        adapted_[name] = layer;
  }

  Result<void> open() {
    const auto open = [&](const char* stem, std::optional<WeightsFolder>& into) -> Result<void> {
      if (!fs::exists(folder_ / cat(stem, ".safetensors"))) return {};
      auto weights = WeightsFolder::open(folder_, stem);
      if (!weights) return tl::unexpected(weights.error());
      into.emplace(std::move(*weights));
      return {};
    };
    auto done = open("model", model_);
    if (done) done = open("projector", projector_);
    if (done) done = open("adapter_model", adapters_);
    if (done && !model_ && !adapters_)
      return fail(ExitCode::missing_input,
                  cat("'", folder_.string(), "' has neither model.safetensors nor adapter_model.safetensors"),
                  "the run has not written its model yet: it does so when it ends, and 'cornstarch-train "
                  "checkpoint export' does of a checkpoint");
    return done;
  }

  /// Whether the run made the tensor of this name.
  bool made(const std::string& name) const {
    const auto it = trained_.find(name);
    return it != trained_.end() && (it->second || adapted_.count(name) > 0);
  }

  /// The adapter to add to it here; null where the run wrote the whole weight.
  const catalog::LinearSpec* adapter_of(const std::string& name) const {
    const auto it = adapted_.find(name);
    return it == adapted_.end() || model_ ? nullptr : it->second;
  }

  WeightsFolder::Located find(const std::string& name) const {
    const std::optional<WeightsFolder>& weights = catalog::of_projector(name) ? projector_ : model_;
    const auto it = written_.find(name);
    return weights && it != written_.end() ? weights->find(it->second) : WeightsFolder::Located{};
  }

  WeightsFolder::Located find_adapter(const std::string& param) const {
    for (const catalog::ModuleSpec& module : modality_.spec.modules)
      for (const ParamSpec& p : module.params)
        if (p.name == param && adapters_)
          return adapters_->find(catalog::weight_names(modality_.spec.family, p).front());
    return {};
  }

  const fs::path& folder() const { return folder_; }

 private:
  void add(const ParamSpec& param, bool projector) {
    if (param.of_adapter) return;
    const std::string& own = catalog::stored_name(param);
    const std::string& family = modality_.spec.family;
    const auto names = projector ? std::vector{own} : catalog::weight_names(family, own);
    const std::string& value = param.tied_to.empty() ? own : param.tied_to;
    const std::string written = projector ? own : catalog::weight_names(family, value).front();
    for (const std::string& name : names) {
      written_[name] = written;
      trained_[name] |= param.trains;
    }
  }

  const catalog::Modality& modality_;
  fs::path folder_;
  std::map<std::string, std::string>
      written_;  // by any name that a file may have: the one that the run wrote
  std::map<std::string, bool> trained_;
  std::map<std::string, const catalog::LinearSpec*> adapted_;
  std::optional<WeightsFolder> model_, projector_, adapters_;
};

/// W + scale B A.
std::vector<float> with_adapter(std::vector<float> weight, const std::vector<float>& a,
                                const std::vector<float>& b, const catalog::LinearSpec& layer) {
  const auto in = static_cast<std::size_t>(layer.in), rank = static_cast<std::size_t>(layer.lora->rank);
  const auto scale = static_cast<float>(layer.lora->scale);
  std::vector<float> row(in);
  for (std::size_t o = 0; o < static_cast<std::size_t>(layer.out); ++o) {
    std::fill(row.begin(), row.end(), 0.0F);
    for (std::size_t r = 0; r < rank; ++r)
      for (std::size_t i = 0; i < in; ++i) row[i] += b[o * rank + r] * a[r * in + i];
    for (std::size_t i = 0; i < in; ++i) weight[o * in + i] += scale * row[i];
  }
  return weight;
}

/// Writes file by file.
class Writer {
 public:
  Writer(const TrainedWhole& trained, fs::path out) : trained_(trained), out_(std::move(out)) {}

  Result<ExportedWhole> write() {
    const auto config = read_file(trained_.whole / "config.json", kMostText);
    if (!config) return tl::unexpected(config.error());
    config_ = Json::parse(*config, nullptr, false);
    if (!config_.is_object()) return fail(ExitCode::bad_data, "config.json is no JSON object");
    type_ = config_.value("model_type", "");
    for (const catalog::Modality& modality : trained_.parts) {
      auto [it, _] = parts_.try_emplace(modality.name, modality, trained_.models / modality.name);
      by_part_[catalog::place_of(*modality.pretrained).part] = &it->second;
      if (auto opened = it->second.open(); !opened) return tl::unexpected(opened.error());
    }
    auto weights = WeightsFolder::open(trained_.whole);
    if (!weights) return tl::unexpected(weights.error());
    if (auto made = make_folders(out_); !made) return tl::unexpected(made.error());
    for (const WeightsFolder::File& file : weights->files())
      if (auto done = write_file(file); !done) return tl::unexpected(done.error());
    if (auto done = copy_others(); !done) return tl::unexpected(done.error());
    if (auto done = write_config(); !done) return tl::unexpected(done.error());
    return done_;
  }

 private:
  /// Where the run's part has the tensor, and what it is called there.
  const Part* part_of(const catalog::PartName& name) const {
    if (const auto it = by_part_.find(name.part); it != by_part_.end()) return it->second;
    if (name.part != "projector") return nullptr;
    for (const auto& [_, part] : by_part_)
      if (part->made(name.name)) return part;
    return nullptr;
  }

  Result<void> write_file(const WeightsFolder::File& file) {
    std::vector<TensorToWrite> tensors;
    std::vector<std::vector<std::byte>> own;  // bytes that lie in no file
    own.reserve(file.content->tensors().size());
    bool changed = false;
    for (const auto& [name, entry] : file.content->tensors()) {
      tensors.push_back({name, entry.dtype, entry.shape, file.content->bytes(entry)});
      ++done_.tensors;
      const catalog::PartName in_part = catalog::part_name(type_, name);
      const Part* part = part_of(in_part);
      if (part == nullptr || !part->made(in_part.name)) continue;
      if (auto done = replace(*part, in_part, tensors.back(), own); !done) return done;
      changed = true;
      ++done_.trained;
      if (tensors.back().dtype != entry.dtype) types_.insert(tensors.back().dtype);
    }
    for (const TensorToWrite& tensor : tensors) bytes_ += tensor.bytes.size();
    if (!changed) return copy(file.name);
    return formats::write_safetensors(out_ / file.name, tensors);
  }

  Result<void> replace(const Part& part, const catalog::PartName& name, TensorToWrite& tensor,
                       std::vector<std::vector<std::byte>>& own) {
    if (const catalog::LinearSpec* layer = part.adapter_of(name.name)) {
      std::vector<std::vector<float>> factors;
      for (const std::string& param : {catalog::lora_a(*layer), catalog::lora_b(*layer)}) {
        const auto found = part.find_adapter(param);
        if (found.entry == nullptr) return missing(part, param);
        factors.push_back(formats::to_floats(found.entry->dtype, found.file->bytes(*found.entry)));
      }
      own.push_back(formats::from_floats(
          tensor.dtype,
          with_adapter(formats::to_floats(tensor.dtype, tensor.bytes), factors[0], factors[1], *layer)));
      tensor.bytes = own.back();
      return {};
    }
    const auto found = part.find(name.name);
    if (found.entry == nullptr) return missing(part, name.name);
    tensor.dtype = found.entry->dtype;
    tensor.bytes = found.file->bytes(*found.entry);
    auto shape = found.entry->shape;
    if (name.transposed) {
      own.push_back(transposed(tensor.bytes, shape.at(0), shape.at(1), tensor.dtype));
      tensor.bytes = own.back();
      std::swap(shape[0], shape[1]);
    }
    if (shape == tensor.shape) return {};
    return fail(ExitCode::bad_data,
                cat("'", tensor.name, "' is ", describe_shape(tensor.shape), " in '", trained_.whole.string(),
                    "' and ", describe_shape(shape), " in '", part.folder().string(), "'"));
  }

  static tl::unexpected<Error> missing(const Part& part, const std::string& name) {
    return fail(ExitCode::bad_data, cat("'", part.folder().string(), "' has no weight '", name, "'"),
                "it is not what this run wrote");
  }

  Result<void> copy(const std::string& name) const {
    std::error_code error;
    fs::copy_file(trained_.whole / name, out_ / name, fs::copy_options::overwrite_existing, error);
    if (error)
      return fail(ExitCode::io,
                  cat("cannot copy '", (trained_.whole / name).string(), "': ", error.message()));
    return {};
  }

  /// What lies beside the weights: as the whole has it, but for what the run's language model has of its own.
  Result<void> copy_others() const {
    static const std::set<std::string> weights = {".safetensors", ".bin", ".pt",     ".pth",
                                                  ".gguf",        ".h5",  ".msgpack"};
    for (const auto& file : fs::directory_iterator(trained_.whole)) {
      if (!file.is_regular_file() || weights.count(file.path().extension()) > 0) continue;
      if (auto done = copy(file.path().filename()); !done) return done;
    }
    const fs::path llm = trained_.models / trained_.parts.back().name;
    auto own = dataio::tokenizer_files(llm / "tokenizer.json");
    own.push_back(llm / "generation_config.json");
    for (const fs::path& file : own) {
      if (!fs::exists(file)) continue;
      const auto text = read_file(file, kMostText);
      if (!text) return tl::unexpected(text.error());
      if (auto done = write_file_atomically(out_ / file.filename(), *text); !done) return done;
    }
    return {};
  }

  /// The type that transformers is to load trained weights in, where that is another, and how much all are.
  Result<void> write_config() {
    if (types_.empty()) return {};
    const auto name = [](DType dtype) {
      return dtype == DType::f64   ? "float64"
             : dtype == DType::f32 ? "float32"
             : dtype == DType::f16 ? "float16"
                                   : "bfloat16";
    };
    for (const DType type : types_) done_.types.emplace_back(name(type));
    Json config = config_;
    config[config.contains("torch_dtype") ? "torch_dtype" : "dtype"] = name(*types_.begin());  // the widest
    if (config != config_)
      if (auto done = write_file_atomically(out_ / "config.json", config.dump(2) + "\n"); !done) return done;
    const fs::path index = trained_.whole / "model.safetensors.index.json";
    if (!fs::exists(index)) return {};
    const auto text = read_file(index, kMostText);
    if (!text) return tl::unexpected(text.error());
    Json json = Json::parse(*text, nullptr, false);
    json["metadata"]["total_size"] = bytes_;
    return write_file_atomically(out_ / index.filename(), json.dump(2) + "\n");
  }

  const TrainedWhole& trained_;
  fs::path out_;
  Json config_;
  std::string type_;
  std::map<std::string, Part> parts_;
  std::map<std::string, const Part*> by_part_;
  std::set<DType> types_;
  std::uint64_t bytes_ = 0;
  ExportedWhole done_;
};

}  // namespace

std::vector<std::byte> transposed(std::span<const std::byte> bytes, std::int64_t rows, std::int64_t columns,
                                  DType dtype) {
  const auto size = static_cast<std::size_t>(formats::size_of(dtype));
  std::vector<std::byte> out(bytes.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c)
      std::copy_n(
          bytes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(r * columns + c) * size), size,
          out.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(c * rows + r) * size));
  return out;
}

Result<ExportedWhole> export_whole(const TrainedWhole& trained, const fs::path& out) {
  return Writer(trained, out).write();
}

}  // namespace cornstarch::app
