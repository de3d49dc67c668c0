#include "projector_file.h"

#include <algorithm>

#include "activation.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/catalog/whole_model.h"
#include "hf_config.h"
#include "whole_table.h"

namespace cornstarch::catalog {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

/// How its features come to it, which a whole checkpoint's config.json says.
Json json_of(const config::Encoder& encoder) {
  return {{"activation", encoder.projector.activation},
          {"avg_pool", encoder.projector.avg_pool},
          {"feature_layer", encoder.feature_layer},
          {"feature_select", config::name_of(encoder.feature_select)},
          {"feature_norm", encoder.feature_norm}};
}

/// What the place says of itself; an empty object where it says nothing.
Json read_config(const std::filesystem::path& place) {
  if (const auto whole = connection_of(place)) return json_of(*whole);
  const auto text = read_file(place / "projector_config.json", kMaxBytes);
  Json json = text && !nests_deeper(*text, 64) ? Json::parse(*text, nullptr, false) : Json();
  return json.is_object() ? json : Json::object();
}

/// "in_proj" of "projector.in_proj.weight", each once.
std::vector<std::string> layers_of(const std::vector<std::string>& names) {
  std::vector<std::string> layers;
  for (const std::string& name : names) {
    const std::size_t first = name.find('.'), last = name.rfind('.');
    const std::string layer = first < last ? name.substr(first + 1, last - first - 1) : name;
    if (std::count(layers.begin(), layers.end(), layer) == 0) layers.push_back(layer);
  }
  return layers;
}

/// By its weights, or nothing where they are neither's.
std::optional<config::ProjectorType> type_of(const std::vector<std::string>& layers) {
  const auto has = [&](const char* layer) { return std::count(layers.begin(), layers.end(), layer) > 0; };
  if (has("in_proj") && has("out_proj")) return config::ProjectorType::mlp;
  if (has("projection"))
    return has("norm") ? config::ProjectorType::norm_linear : config::ProjectorType::linear;
  return std::nullopt;
}

const char* article(config::ProjectorType type) {
  if (type == config::ProjectorType::none) return "no";
  if (type == config::ProjectorType::norm_linear) return "a norm_linear";
  return type == config::ProjectorType::mlp ? "an mlp" : "a linear";
}

}  // namespace

std::string projector_config(const config::Encoder& encoder, const ModuleSpec& projector) {
  const auto& body = std::get<Projector>(projector.body);
  Json json;
  json["type"] = config::name_of(encoder.projector.type);
  if (body.in_proj) json["activation"] = encoder.projector.activation;
  if (body.pool) json["avg_pool"] = encoder.projector.avg_pool;
  json["input_size"] = body.in_proj ? body.in_proj->in : body.out_proj.in;
  json["output_size"] = body.out_proj.out;
  json["feature_layer"] = encoder.feature_layer;
  json["feature_select"] = config::name_of(encoder.feature_select);
  if (!encoder.feature_norm) json["feature_norm"] = false;
  return json.dump(2) + "\n";
}

bool check_projector(const Context& context, const std::string& path, const config::Encoder& encoder,
                     const std::filesystem::path& place, const std::vector<std::string>& names) {
  const std::vector<std::string> layers = layers_of(names);
  const auto held = type_of(layers);
  const bool of_part = !place_of(place).part.empty();
  const std::string said_in = of_part ? " (config.json)" : " (projector_config.json)";
  if (!held) return true;  // whose names they are is told weight by weight
  if (*held != encoder.projector.type) {
    context.error("bad_projector", path + ".projector.type",
                  cat("'", place.string(), "' holds ", article(*held), " projector (",
                      of_part ? "its weights are " : "projector.safetensors has ", join(layers, ", "),
                      "), the config asks for ", article(encoder.projector.type), " one"),
                  cat("set projector.type: ", config::name_of(*held)));
    return false;
  }
  const Json said = read_config(place);
  const Json activation = said.value("activation", Json());
  if (*held == config::ProjectorType::mlp && activation.is_string() &&
      parse_activation(activation) != parse_activation(encoder.projector.activation)) {
    context.error("bad_projector", path + ".projector.activation",
                  cat("'", place.string(), "' holds a projector with the activation ", shown(activation),
                      said_in, ", the config asks for \"", encoder.projector.activation, "\""),
                  cat("set projector.activation: ", activation.get<std::string>()));
    return false;
  }
  const auto compare = [&](const std::string& key, const Json& fallback, const Json& asked) {
    const std::string name = key.substr(key.rfind('.') + 1);
    const Json learnt = said.value(name, fallback);
    if (said.empty() || learnt == asked) return;
    context.warning("other_features", cat(path, ".", key),
                    cat("the projector in '", place.string(), "' learnt from ", name, " ", learnt.dump(),
                        said_in, ", the config gives it ", asked.dump()),
                    cat("set ", key, ": ", learnt.is_string() ? learnt.get<std::string>() : learnt.dump()));
  };
  const Json select = config::name_of(encoder.feature_select);
  compare("projector.avg_pool", 1, encoder.projector.avg_pool);  // not said where it is as ever
  compare("feature_layer", encoder.feature_layer, encoder.feature_layer);
  compare("feature_select", select, select);
  compare("feature_norm", true, encoder.feature_norm);
  return true;
}

}  // namespace cornstarch::catalog
