#include <algorithm>
#include <filesystem>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/formats/safetensors.h"
#include "hub_name.h"
#include "model_type.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

namespace fs = std::filesystem;

/// The family that a word which names none may stand for, by a slip of the pen.
std::string guess_family(const std::string& word, const std::vector<std::string>& wanted) {
  return is_other_model(word) ? "" : did_you_mean(word, wanted);
}

/// Whether the family exists and stands where it belongs.
bool check_family(const Context& context, const ModelSource& source) {
  if (source.family.empty()) return false;  // its absence was reported on loading
  const std::string path = source.path + ".family";
  const auto wanted = family_names(source.wants_llm);
  const auto other = family_names(!source.wants_llm);
  if (std::count(wanted.begin(), wanted.end(), source.family) > 0) return true;
  const std::string known = known_families(source.wants_llm);
  if (std::count(other.begin(), other.end(), source.family) > 0) {
    context.error("wrong_family", path,
                  source.wants_llm ? cat("'", source.family, "' is an encoder, not a language model")
                                   : cat("'", source.family, "' is a language model, not an encoder"),
                  cat(known, source.wants_llm ? "; an encoder stands under model.encoders"
                                              : "; the language model stands under model.llm"));
  } else if (is_whole_checkpoint(source.family)) {
    context.error("whole_checkpoint", path,
                  cat("'", source.family, "' is a whole checkpoint: encoder and language model in one"),
                  parts_help(source.family));
  } else {
    const std::string guess = guess_family(source.family, wanted);
    context.error("unknown_family", path, cat("unknown model family '", source.family, "'"),
                  guess.empty() ? known : cat(guess, " K", known.substr(1)));
  }
  return false;
}

/// "hidden_size" of "hidden_size: expected ..."; "" for a problem of the text as a whole.
std::string key_of(const std::string& problem) {
  const std::string key = problem.substr(0, problem.find(": "));
  return key == "config.json" ? "" : key;
}

std::optional<ModelSpec> read_inline(const Context& context, const ModelSource& source) {
  SpecResult result = make_spec(source.family, *source.config_json);
  const std::string path = source.path + ".config";
  for (const std::string& problem : result.problems) {
    const std::string key = key_of(problem);
    context.error("bad_model_config", key.empty() ? path : cat(path, ".", key), problem, result.help);
  }
  for (const std::string& key : result.unknown_keys) {
    context.error("unknown_key", cat(path, ".", key), cat(source.family, " has no option '", key, "'"),
                  did_you_mean(key, result.known_keys));
  }
  return result.spec;
}

/// Where the parts of a whole checkpoint lie in its weights: "; its weights lie under language_model., ...".
std::string parts_in(const fs::path& folder) {
  const auto weights = formats::WeightsFolder::open(folder);
  if (!weights) return "";
  std::set<std::string> parts;
  for (const std::string& name : weights->names()) {
    const auto words = split(name, '.');
    const std::size_t first = words[0] == "model" && words.size() > 1 ? 1 : 0;
    parts.insert((first == 1 ? "model." : "") + words[first] + ".");
  }
  return cat("; its weights lie under ", join({parts.begin(), parts.end()}, ", "));
}

std::optional<ModelSpec> read_folder(const Context& context, const ModelSource& source) {
  const fs::path folder = place_of(*source.pretrained).folder;
  const std::string path = source.path + ".pretrained";
  const std::string help = "a Hugging Face folder holds config.json and model.safetensors";
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    const bool exists = fs::exists(folder, ignored);
    const std::string download = download_help(context.loaded.where.at(path), folder.string(), "");
    context.error("missing_file", path,
                  cat("'", folder.string(), exists ? "' is not a folder" : "' does not exist"),
                  download.empty() ? help : download);
    return std::nullopt;
  }
  if (!fs::exists(folder / "config.json", ignored)) {
    context.error("missing_file", path, cat("'", folder.string(), "' holds no config.json"), help);
    return std::nullopt;
  }
  const auto text = read_model_config(*source.pretrained);
  if (!text) {
    context.error("missing_file", path, text.error().message, text.error().help);
    return std::nullopt;
  }
  SpecResult result = make_spec(source.family, *text);
  if (result.whole_checkpoint) result.help += parts_in(folder);
  for (const std::string& problem : result.problems) {
    const std::string what = key_of(problem).empty() ? problem : cat("config.json: ", problem);
    context.error("bad_model_config", path, cat("'", folder.string(), "': ", what), result.help);
  }
  return result.spec;
}

}  // namespace

std::optional<ModelSpec> read_model(const Context& context, const ModelSource& source) {
  const bool known = check_family(context, source);
  // That there is exactly one of them is checked on loading.
  if (!known || source.pretrained.has_value() == source.config_json.has_value()) return std::nullopt;
  return source.pretrained ? read_folder(context, source) : read_inline(context, source);
}

}  // namespace cornstarch::catalog
