#include "cornstarch/catalog/whole_model.h"

#include <algorithm>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/catalog/families.h"
#include "model_type.h"
#include "whole_table.h"

namespace cornstarch::catalog {
namespace {

namespace fs = std::filesystem;
using formats::WeightsFolder;

constexpr std::size_t kMostBytes = std::size_t{16} << 20;

std::vector<std::string> names_of(const WholeSpec& spec) {
  std::vector<std::string> names;
  for (const WholePart& part : spec.parts) names.push_back(part.name);
  return names;
}

/// A whole's config.json, and what it is of.
struct Opened {
  fs::path folder;
  const WholeSpec* spec = nullptr;
  Json config;
};

Result<Json> read_json(const fs::path& path) {
  const auto text = read_file(path, kMostBytes);
  if (!text) return tl::unexpected(text.error());
  Json json = nests_deeper(*text, 64) ? Json() : Json::parse(*text, nullptr, false);
  if (!json.is_object()) return fail(ExitCode::bad_data, cat("'", path.string(), "' is no JSON object"));
  return json;
}

Result<Opened> open_whole(const fs::path& folder) {
  auto json = read_json(folder / "config.json");
  if (!json) return tl::unexpected(json.error());
  const Json type = json->value("model_type", Json());
  const WholeSpec* spec = type.is_string() ? find_whole_spec(type.get<std::string>()) : nullptr;
  if (spec == nullptr)
    return fail(ExitCode::bad_data,
                cat("'", folder.string(), "' is no whole checkpoint that is known: its model_type is ",
                    type.is_null() ? "absent" : shown(type)),
                cat("parts are read of ", join(whole_models(), ", "),
                    "; a folder of one model is named without '#'"));
  return Opened{folder, spec, std::move(*json)};
}

Result<const WholePart*> find_part(const Opened& whole, const std::string& name) {
  for (const WholePart& part : whole.spec->parts)
    if (part.name == name) return &part;
  const std::string guess = did_you_mean(name, names_of(*whole.spec));
  return fail(ExitCode::usage, cat("'", whole.folder.string(), "' has no part '", name, "'"),
              cat(guess, guess.empty() ? "a " : " A ", whole.spec->model_type, " checkpoint has ",
                  join(names_of(*whole.spec), ", ")));
}

/// What the whole's config.json says of a part, as a file of its own would.
Json config_of(const Opened& whole, const WholePart& part) {
  Json out = Json::object();
  const Json& all = whole.config;
  const bool has = all.contains(part.section) && all[part.section].is_object();
  Json section = has ? all[part.section] : part.flat ? all : Json::object();
  if (!has && part.flat)
    for (const WholePart& each : whole.spec->parts) section.erase(each.section);
  if (part.always || !has || !section.contains("model_type")) section["model_type"] = part.type;
  section.erase("architectures");  // of the whole, or of a class that holds no more than the part
  // The whole's file decides where the section is silent, and where it says that they are tied.
  const char* tied = "tie_word_embeddings";
  if (all.contains(tied) && (all[tied] == true || !section.contains(tied))) section[tied] = all[tied];
  if (!has && part.flat) return section;
  if (all.contains("quantization_config")) out["quantization_config"] = all["quantization_config"];
  out[part.section] = std::move(section);
  return out;
}

Result<Json> part_config(const Opened& whole, const std::string& name) {
  const auto part = find_part(whole, name);
  if (!part) return tl::unexpected(part.error());
  return config_of(whole, **part);
}

/// Another class's name in the place of the whole's.
void rename_class(const WholeSpec& spec, Json& preprocessor) {
  const char* key = "image_processor_type";
  const Json type = preprocessor.value(key, Json());
  if (!type.is_string()) return;
  for (const ProcessorRule& rule : spec.processors)
    if (type.get<std::string>().starts_with(rule.whole)) preprocessor[key] = rule.own;
}

/// The encoder's or the language model's section, read by its family.
SpecResult read_part(const Opened& whole, const WholePart& part, std::string& family) {
  const Json config = config_of(whole, part);
  const Json type = config.value(part.section, config).value("model_type", Json());
  const Family* known = type.is_string() ? family_of_type(type.get<std::string>()) : nullptr;
  if (known == nullptr) {
    SpecResult result;
    result.problems.push_back(cat(part.section, ".model_type: family ", shown(type), " is not known"));
    result.help = known_families(part.name == whole.spec->parts.back().name);
    return result;
  }
  family = known->info.name;
  return make_spec(family, config.dump());
}

/// What the whole says of itself, into `problems` what is wrong with it.
config::Model read_model(const Opened& whole, std::vector<std::string>& problems, std::string& help) {
  config::Model model;
  for (const WholePart& part : whole.spec->parts) {
    std::string family;
    const SpecResult result = read_part(whole, part, family);
    problems.insert(problems.end(), result.problems.begin(), result.problems.end());
    if (!result.help.empty()) help = result.help;
    const std::string place = cat(whole.folder.string(), "#", part.name);
    if (part.name == whole.spec->parts.back().name) {
      model.llm.family = family;
      model.llm.pretrained = place;
      model.llm.attention_mask = whole.spec->attention_mask;
      continue;
    }
    config::Encoder& encoder = model.encoders.emplace_back();
    encoder.name = part.name;
    encoder.family = family;
    encoder.pretrained = place;
    if (!result.spec) continue;
    HfConfig config(whole.config);
    whole.spec->connect(config, *result.spec, encoder);
    problems.insert(problems.end(), config.problems().begin(), config.problems().end());
  }
  return model;
}

}  // namespace

ModelPlace place_of(const std::string& pretrained) {
  const std::size_t mark = pretrained.rfind('#');
  std::error_code ignored;
  if (mark == std::string::npos || fs::is_directory(pretrained, ignored)) return {pretrained};
  return {pretrained.substr(0, mark), pretrained.substr(mark + 1)};
}

Result<std::string> read_model_config(const std::string& pretrained) {
  const ModelPlace place = place_of(pretrained);
  if (place.part.empty()) return read_file(place.folder / "config.json", kMostBytes);
  const auto whole = open_whole(place.folder);
  if (!whole) return tl::unexpected(whole.error());
  const auto config = part_config(*whole, place.part);
  if (!config) return tl::unexpected(config.error());
  return config->dump();
}

PartName part_name(const std::string& model_type, const std::string& tensor) {
  const WholeSpec* spec = find_whole_spec(model_type);
  if (spec == nullptr) return {"", tensor};
  for (const NameRule& rule : spec->names)
    if (tensor.starts_with(rule.whole))
      return {rule.part, rule.own + tensor.substr(rule.whole.size()), rule.transposed};
  return {"", tensor};
}

WeightsFolder::Renamed name_in_class(const std::string& model_type, const PartName& name) {
  const WholeSpec* spec = find_whole_spec(model_type);
  if (spec == nullptr) return {name.name};
  for (const NameRule& rule : spec->names) {
    const bool of_class = rule.whole.starts_with("model.");  // in front of everything but the head
    if (of_class && rule.part == name.part && name.name.starts_with(rule.own))
      return {rule.whole + name.name.substr(rule.own.size()), rule.transposed};
  }
  return {name.name};
}

Result<WeightsFolder> open_weights(const std::string& pretrained, const std::string& stem) {
  const ModelPlace place = place_of(pretrained);
  if (place.part.empty()) return WeightsFolder::open(place.folder, stem);
  const auto whole = open_whole(place.folder);
  if (!whole) return tl::unexpected(whole.error());
  const auto part = find_part(*whole, place.part);
  if (!part) return tl::unexpected(part.error());
  auto weights = WeightsFolder::open(place.folder);
  if (!weights) return weights;
  const std::string wanted = stem == "projector" ? stem : place.part;
  const std::string last = whole->spec->parts.back().name;
  weights->rename([&](const std::string& tensor) -> std::optional<WeightsFolder::Renamed> {
    PartName in_part = part_name(whole->spec->model_type, tensor);
    if ((in_part.part.empty() ? last : in_part.part) != wanted) return std::nullopt;
    return WeightsFolder::Renamed{std::move(in_part.name), in_part.transposed};
  });
  return weights;
}

bool has_projector(const std::string& pretrained) {
  const ModelPlace place = place_of(pretrained);
  std::error_code ignored;
  if (place.part.empty()) return fs::exists(place.folder / "projector.safetensors", ignored);
  const auto weights = open_weights(pretrained, "projector");
  return weights && !weights->names().empty();
}

Result<std::optional<std::string>> read_preprocessor(const std::string& pretrained) {
  const ModelPlace place = place_of(pretrained);
  const fs::path own = place.folder / "preprocessor_config.json",
                 all = place.folder / "processor_config.json";
  std::error_code ignored;
  if (place.part.empty()) {
    if (!fs::exists(own, ignored)) return std::nullopt;
    return read_file(own, kMostBytes);
  }
  const auto whole = open_whole(place.folder);
  if (!whole) return tl::unexpected(whole.error());
  const bool single = fs::exists(own, ignored);
  if (!single && !fs::exists(all, ignored)) return std::nullopt;
  auto json = read_json(single ? own : all);
  if (!json) return tl::unexpected(json.error());
  if (!single) {  // as transformers writes it since version 5
    for (const char* key : {"image_processor", "feature_extractor"})
      if (json->contains(key) && (*json)[key].is_object()) {
        Json section = (*json)[key];
        rename_class(*whole->spec, section);
        return section.dump(2) + "\n";
      }
    return std::nullopt;
  }
  rename_class(*whole->spec, *json);
  return json->dump(2) + "\n";
}

std::vector<std::string> parts_of_whole(const std::string& model_type) {
  const WholeSpec* spec = find_whole_spec(model_type);
  return spec == nullptr ? std::vector<std::string>{} : names_of(*spec);
}

std::vector<std::string> whole_models() {
  std::vector<std::string> names;
  for (const WholeSpec& spec : whole_specs()) names.push_back(spec.model_type);
  return names;
}

Result<WholeModel> read_whole(const fs::path& folder) {
  const auto whole = open_whole(folder);
  if (!whole) return tl::unexpected(whole.error());
  std::vector<std::string> problems;
  std::string help;
  WholeModel out{whole->spec->model_type, read_model(*whole, problems, help)};
  if (problems.empty()) return out;
  return fail(ExitCode::bad_data,
              cat("'", folder.string(), "': config.json: ", join(problems, "\n  config.json: ")), help);
}

std::optional<config::Encoder> connection_of(const std::string& pretrained) {
  const ModelPlace place = place_of(pretrained);
  const auto whole = place.part.empty() ? std::nullopt : std::optional(read_whole(place.folder));
  if (!whole || !*whole) return std::nullopt;
  for (const config::Encoder& encoder : (*whole)->model.encoders)
    if (encoder.name == place.part) return encoder;
  return std::nullopt;
}

}  // namespace cornstarch::catalog
