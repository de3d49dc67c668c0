#include <fnmatch.h>

#include <algorithm>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/formats/safetensors.h"
#include "header.h"
#include "json_walk.h"

namespace cornstarch::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxIndex = std::size_t{128} << 20;
constexpr const char* kNoIndex = "it is no index of weights: a JSON object with a weight_map is expected";

/// Reads the weight_map of an index file: tensor -> file. Files are named, never paths, so that an index
/// cannot lead out of its folder. (A link of that name may: the caches of Hugging Face's hub are made of
/// links.)
class IndexReader : public JsonWalk {
 public:
  std::map<std::string, std::string> files;
  bool found = false;

 private:
  void value(const Value& v) override {
    if (depth() == 0 && v.kind != Kind::object) return refuse(kNoIndex);
    if (depth() == 1 && key_ == "weight_map") {
      found = in_map_ = v.kind == Kind::object;
      files.clear();
    }
    if (depth() != 2 || !in_map_) return;
    if (v.kind != Kind::text) return refuse(cat("the file of tensor ", printable(key_), " is not a text"));
    if (v.text->empty() || *v.text == "." || *v.text == ".." ||
        v.text->find_first_of(std::string("/\\\0", 3)) != std::string::npos)
      return refuse(cat("the file of tensor ", printable(key_), ", ", printable(*v.text),
                        ", is not the name of a file beside it"));
    if (files.size() == kMostTensors) return refuse(cat("it has more than ", kMostTensors, " tensors"));
    files[key_] = *v.text;
  }
  void name(std::string& key) override {
    if (depth() <= 2) key_ = key;
  }
  void end() override {
    if (depth() == 1) in_map_ = false;
  }

  static constexpr std::size_t kMostTensors = std::size_t{1} << 20;
  std::string key_;
  bool in_map_ = false;
};

Result<std::map<std::string, std::string>> read_index(const fs::path& path) {
  const auto text = read_file(path, kMaxIndex);
  if (!text) return tl::unexpected(text.error());
  IndexReader reader;
  auto read = reader.through(*text, "it");
  if (read && !reader.found) read = fail(ExitCode::bad_data, kNoIndex);
  if (!read) return fail(ExitCode::bad_data, cat("'", path.string(), "': ", read.error().message));
  return std::move(reader.files);
}

/// Files of other formats that a folder may hold in place of safetensors, and what to do with them.
struct OtherFormat {
  const char* pattern;  ///< as fnmatch(3)
  const char* what;
  const char* help;
};

constexpr const char* kSaveAgain =
    "save the model again as model.safetensors: in Python, AutoModel (for a language model, "
    "AutoModelForCausalLM).from_pretrained(folder).save_pretrained(folder)";
constexpr OtherFormat kOtherFormats[] = {
    {"pytorch_model*.bin*", "pickled weights are not read: they can run code", kSaveAgain},
    {"adapter_model.safetensors", "an adapter is not a model",
     "merge it into its model first: in Python, PEFT's merge_and_unload(), then save_pretrained(folder)"},
    {"consolidated*.pth", "pickled weights in Meta's own format are not read",
     "take the folder of the same model in Hugging Face's format, or convert it with transformers' "
     "convert_llama_weights_to_hf.py"},
    {"consolidated*.safetensors", "weights in Mistral's own format are not read",
     "download the model*.safetensors of the same model, too"},
    {"*.gguf", "weights in GGUF are not read", "take the model that they were made from"},
    {"tf_model.h5", "TensorFlow's weights are not read", "take a folder that holds model.safetensors"},
    {"flax_model.msgpack", "Flax's weights are not read", "take a folder that holds model.safetensors"},
    {"*.bin", "pickled weights are not read: they can run code", kSaveAgain},
    {"*.pt", "pickled weights are not read: they can run code", kSaveAgain},
    {"*.pth", "pickled weights are not read: they can run code", kSaveAgain}};

tl::unexpected<Error> no_weights(const fs::path& folder, const std::string& stem) {
  const std::string wanted = cat(stem, ".safetensors");
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(folder, ignored)) names.push_back(file.path().filename());
  std::sort(names.begin(), names.end());
  for (const OtherFormat& other : kOtherFormats) {
    for (const std::string& name : names) {
      if (stem == "model" && ::fnmatch(other.pattern, name.c_str(), 0) == 0)
        return fail(ExitCode::bad_data, cat("'", (folder / name).string(), "': ", other.what), other.help);
    }
  }
  return fail(ExitCode::missing_input, cat("'", folder.string(), "' holds no weights: neither ", wanted,
                                           " nor ", wanted, ".index.json"));
}

}  // namespace

Result<const SafetensorsFile*> WeightsFolder::add(const fs::path& path) {
  auto file = SafetensorsFile::open(path);
  if (!file) return tl::unexpected(file.error());
  file_names_.push_back(path.filename());
  files_.push_back(std::make_unique<SafetensorsFile>(std::move(*file)));
  return files_.back().get();
}

Result<WeightsFolder> WeightsFolder::open(const fs::path& folder, const std::string& stem) {
  const fs::path single = folder / (stem + ".safetensors");
  const fs::path index = folder / (stem + ".safetensors.index.json");
  std::error_code ignored;
  if (!fs::exists(single, ignored)) {
    return fs::exists(index, ignored) ? open_sharded(index) : no_weights(folder, stem);
  }
  WeightsFolder weights;
  const auto file = weights.add(single);
  if (!file) return tl::unexpected(file.error());
  for (const auto& [name, entry] : (*file)->tensors()) weights.index_[name] = {*file, &entry};
  return weights;
}

Result<WeightsFolder> WeightsFolder::open_sharded(const fs::path& index) {
  const auto map = read_index(index);
  if (!map) return tl::unexpected(map.error());
  WeightsFolder weights;
  std::map<std::string, const SafetensorsFile*> opened;
  for (const auto& [name, file_name] : *map) {
    const SafetensorsFile*& file = opened[file_name];
    if (!file) {
      const auto added = weights.add(index.parent_path() / file_name);
      if (!added) return tl::unexpected(added.error());
      file = *added;
    }
    const auto entry = file->tensors().find(name);
    if (entry == file->tensors().end()) {
      return fail(ExitCode::bad_data, cat("'", index.string(), "': tensor ", printable(name), " is not in ",
                                          printable(file_name), ", where the index has it"));
    }
    weights.index_[name] = {file, &entry->second};
  }
  for (const auto& [file_name, file] : opened) {  // as Hugging Face's reader: whatever a file holds counts
    for (const auto& [name, entry] : file->tensors()) weights.index_.try_emplace(name, Located{file, &entry});
  }
  return weights;
}

WeightsFolder::Located WeightsFolder::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? Located{} : it->second;
}

std::vector<WeightsFolder::File> WeightsFolder::files() const {
  std::vector<File> out;
  for (std::size_t i = 0; i < files_.size(); ++i) out.push_back({file_names_[i], files_[i].get()});
  return out;
}

void WeightsFolder::rename(const std::function<std::optional<Renamed>(const std::string&)>& names) {
  std::map<std::string, Located> renamed;
  for (const auto& [name, located] : index_)
    if (const auto wanted = names(name))
      renamed.try_emplace(wanted->name, Located{located.file, located.entry, wanted->transposed});
  index_ = std::move(renamed);
}

std::vector<std::string> WeightsFolder::names() const {
  std::vector<std::string> out;
  for (const auto& item : index_) out.push_back(item.first);
  return out;
}

}  // namespace cornstarch::formats
