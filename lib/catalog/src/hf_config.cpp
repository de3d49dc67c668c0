#include "hf_config.h"

#include <cmath>
#include <cstdint>

#include "activation.h"
#include "cornstarch/base/text.h"

namespace cornstarch::catalog {

std::string shown(const Json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

namespace {

/// The value as an integer, if it is one that fits.
std::optional<std::int64_t> integer(const Json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
    return std::nullopt;
  return value.get<std::int64_t>();
}

}  // namespace

const Json* HfConfig::find(const std::string& key) {
  known_.insert(key);
  const auto it = json_.find(key);
  return it == json_.end() ? nullptr : &*it;
}

void HfConfig::problem(const std::string& key, const std::string& what) {
  problems_.push_back(cat(key, ": ", what));
}

std::int64_t HfConfig::size(const std::string& key, std::int64_t fallback, const std::string& alias,
                            std::int64_t limit) {
  const Json* value = find(key);
  std::string name = key;
  if (const Json* other = alias.empty() ? nullptr : find(alias)) {
    if (value && *value != *other) {
      problem(key, cat("is ", shown(*value), ", but its other name '", alias, "' says ", shown(*other)));
    }
    value = other;
    name = alias;
  }
  if (!value) return fallback;
  const auto number = integer(*value);
  if (!number || *number < 1) {
    problem(name, cat("expected a positive integer, got ", shown(*value)));
    return fallback;
  }
  if (*number > limit) {
    problem(name, cat("expected at most ", limit, ", got ", shown(*value)));
    return fallback;
  }
  return *number;
}

std::optional<std::int64_t> HfConfig::optional_size(const std::string& key) {
  const Json* value = find(key);
  if (!value || value->is_null()) return std::nullopt;
  return size(key, 1);
}

std::optional<std::int64_t> HfConfig::optional_integer(const std::string& key) {
  const Json* value = find(key);
  if (!value || value->is_null()) return std::nullopt;
  const auto number = integer(*value);
  if (!number) problem(key, cat("expected an integer, got ", shown(*value)));
  return number;
}

double HfConfig::number(const Json& owner, const std::string& path, const std::string& key,
                        std::optional<double> fallback, bool zero_allowed) {
  const auto it = owner.find(key);
  if (it == owner.end()) {
    if (!fallback) problem(path, "is missing");
    return fallback.value_or(1.0);
  }
  const double value = it->is_number() ? it->get<double>() : std::nan("");
  if (!std::isfinite(value) || value < 0 || (value == 0 && !zero_allowed)) {
    problem(path, cat("expected a ", zero_allowed ? "number that is not negative" : "positive number",
                      ", got ", shown(*it)));
    return fallback.value_or(1.0);
  }
  return value;
}

double HfConfig::positive(const std::string& key, double fallback) {
  known_.insert(key);
  return number(json_, key, key, fallback, false);
}

double HfConfig::non_negative(const std::string& key, double fallback) {
  known_.insert(key);
  return number(json_, key, key, fallback, true);
}

bool HfConfig::flag(const std::string& key, bool fallback) {
  const Json* value = find(key);
  if (!value || value->is_null()) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  problem(key, cat("expected true or false, got ", shown(*value)));
  return fallback;
}

Activation HfConfig::activation(const std::string& key, const std::string& fallback) {
  const Json* value = find(key);
  if (value && value->is_string()) {
    if (const auto known = parse_activation(value->get<std::string>())) return *known;
    problem(key, cat("activation ", shown(*value), " is not supported; known are ",
                     join(activation_names(), ", ")));
  } else if (value) {
    problem(key, cat("expected the name of an activation, got ", shown(*value)));
  }
  return *parse_activation(fallback);
}

void HfConfig::require_number(const std::string& key, double wanted, const std::string& why) {
  const Json* value = find(key);
  if (!value || value->is_null()) return;
  if (!value->is_number() || value->get<double>() != wanted) problem(key, cat(why, ", got ", shown(*value)));
}

void HfConfig::require_false(const std::string& key, const std::string& why) {
  if (flag(key, false)) problem(key, why);
}

void HfConfig::require_absent(const std::string& key, const std::string& why) {
  const Json* value = find(key);
  if (value && !value->is_null()) problem(key, why);
}

void HfConfig::ignore(std::initializer_list<const char*> keys) { known_.insert(keys.begin(), keys.end()); }

std::vector<std::string> HfConfig::unknown_keys() const {
  const auto& neutral = neutral_keys();
  const std::set<std::string> ignored(neutral.begin(), neutral.end());
  std::vector<std::string> unknown;
  for (const auto& item : json_.items()) {
    const std::string& key = item.key();
    const bool private_key = key.rfind('_', 0) == 0 || key.find('.') != std::string::npos;
    if (!private_key && !known_.count(key) && !ignored.count(key)) unknown.push_back(key);
  }
  return unknown;
}

std::int64_t HfConfig::original_positions(const Json& scaling, const std::string& name,
                                          std::int64_t max_positions) {
  const std::string key = "original_max_position_embeddings";
  if (const Json* outer = find(key))  // wins over the one inside, as in HF
    return outer->is_null() ? max_positions : size(key, max_positions);
  if (!scaling.contains(key)) return max_positions;
  const auto fallback = static_cast<double>(max_positions);
  return static_cast<std::int64_t>(number(scaling, cat(name, ".", key), key, fallback, false));
}

void HfConfig::llama3_scaling(const Json& scaling, const std::string& name, std::int64_t max_positions,
                              RopeSpec& rope) {
  const auto field = [&](const std::string& key) {
    return number(scaling, cat(name, ".", key), key, std::nullopt, false);
  };
  rope.factor = field("factor");
  rope.low_freq_factor = field("low_freq_factor");
  rope.high_freq_factor = field("high_freq_factor");
  if (scaling.contains("low_freq_factor") && scaling.contains("high_freq_factor") &&
      rope.high_freq_factor <= rope.low_freq_factor) {
    problem(cat(name, ".high_freq_factor"), cat("must be greater than low_freq_factor (",
                                                rope.low_freq_factor, "), got ", rope.high_freq_factor));
  }
  rope.original_max_positions = original_positions(scaling, name, max_positions);
}

void HfConfig::yarn_scaling(const Json& scaling, const std::string& name, std::int64_t max_positions,
                            RopeSpec& rope) {
  const auto field = [&](const std::string& key, std::optional<double> fallback) {
    const bool absent = fallback && (!scaling.contains(key) || scaling[key].is_null());
    return absent ? *fallback : number(scaling, cat(name, ".", key), key, fallback, false);
  };
  const auto given = [&](const char* key) { return scaling.contains(key) && !scaling[key].is_null(); };
  rope.original_max_positions = original_positions(scaling, name, max_positions);
  const double stretch =
      static_cast<double>(max_positions) / static_cast<double>(rope.original_max_positions);
  rope.factor = field("factor", scaling.contains("factor") ? std::optional(stretch) : std::nullopt);
  rope.beta_fast = field("beta_fast", rope.beta_fast);
  rope.beta_slow = field("beta_slow", rope.beta_slow);
  if (scaling.contains("truncate")) {
    if (!scaling["truncate"].is_boolean())
      problem(cat(name, ".truncate"), cat("expected true or false, got ", shown(scaling["truncate"])));
    else
      rope.truncate = scaling["truncate"].get<bool>();
  }
  const auto magnitude = [&](double weight) {
    return rope.factor <= 1 ? 1.0 : 0.1 * weight * std::log(rope.factor) + 1.0;
  };
  const bool both = given("mscale") && given("mscale_all_dim");
  const double own =
      both ? magnitude(field("mscale", 1.0)) / magnitude(field("mscale_all_dim", 1.0)) : magnitude(1.0);
  rope.attention_factor = field("attention_factor", own);
}

void HfConfig::longrope_scaling(const Json& scaling, const std::string& name, std::int64_t max_positions,
                                std::int64_t head_dim, RopeSpec& rope) {
  const auto factors = [&](const char* key) {
    const Json list = scaling.value(key, Json());
    std::vector<double> out;
    if (list.is_array())
      for (const Json& each : list)
        if (each.is_number() && each.get<double>() > 0) out.push_back(each.get<double>());
    const auto wanted = static_cast<std::size_t>(head_dim / 2);
    if (out.size() != wanted || list.size() != wanted)
      problem(cat(name, ".", key), cat("expected ", wanted, " positive numbers, half of a head's size, got ",
                                       list.is_null() ? "none" : shown(list)));
    return out;
  };
  const auto field = [&](const char* key, double fallback) {
    const bool given = scaling.contains(key) && !scaling[key].is_null();
    return given ? number(scaling, cat(name, ".", key), key, fallback, false) : fallback;
  };
  rope.short_factors = factors("short_factor");
  rope.long_factors = factors("long_factor");
  rope.original_max_positions = original_positions(scaling, name, max_positions);
  const auto original = static_cast<double>(rope.original_max_positions);
  rope.factor = field("factor", static_cast<double>(max_positions) / original);
  rope.attention_factor = field(
      "attention_factor", rope.factor <= 1 ? 1.0 : std::sqrt(1 + std::log(rope.factor) / std::log(original)));
}

void HfConfig::three_parts(const Json& scaling, const std::string& name, std::int64_t head_dim,
                           const std::vector<std::int64_t>& fallback, RopeSpec& rope) {
  const std::string key = "mrope_section";
  const Json list = scaling.is_object() && scaling.contains(key) ? scaling[key] : Json(fallback);
  std::int64_t sum = 0;
  for (const Json& each : list) {
    const bool good = each.is_number_integer() && each >= 1 && each <= head_dim;
    rope.sections.push_back(good ? each.get<std::int64_t>() : head_dim);
    sum += rope.sections.back();
  }
  if (!list.is_array() || sum != head_dim / 2)
    problem(cat(name, ".", key), cat("expected whole numbers whose sum is ", head_dim / 2,
                                     ", half of a head's size, got ", shown(list)));
  if (rope.depends_on_length())
    problem(name,
            cat(key, " with frequencies that depend on the length (dynamic, longrope) is not supported"));
}

RopeSpec HfConfig::rope(std::int64_t max_positions, std::int64_t head_dim, const RopeKeys& keys) {
  RopeSpec rope;
  rope.theta = positive(keys.theta, keys.default_theta);
  // The old spelling wins where both are given, as in HF.
  const Json* parameters = find("rope_parameters");
  std::string name = "rope_parameters";
  if (keys.layers != nullptr && parameters && parameters->is_object()) {
    name = cat(name, ".", keys.layers);
    parameters = parameters->contains(keys.layers) ? &parameters->at(keys.layers) : nullptr;
  }
  const Json* scaling = keys.scaled ? find("rope_scaling") : nullptr;
  if (scaling && !scaling->is_null() && !scaling->empty()) {
    parameters = scaling;
    name = "rope_scaling";
  }
  require_number("partial_rotary_factor", 1.0, "only 1 is supported");
  const bool parts = !keys.sections.empty();
  if (!parameters || parameters->is_null()) {
    if (parts) three_parts({}, name, head_dim, keys.sections, rope);
    return rope;
  }
  if (!parameters->is_object()) {
    problem(name, cat("expected a map, got ", shown(*parameters)));
    return rope;
  }
  rope.theta = number(*parameters, cat(name, ".rope_theta"), "rope_theta", rope.theta, false);
  if (number(*parameters, cat(name, ".partial_rotary_factor"), "partial_rotary_factor", 1.0, false) != 1.0) {
    problem(cat(name, ".partial_rotary_factor"), "only 1 is supported");
  }
  const std::string key = parameters->contains("rope_type") ? "rope_type" : "type";
  const Json type = parameters->value(key, Json("default"));
  if (type == "llama3") {
    rope.type = RopeSpec::Type::llama3;
    llama3_scaling(*parameters, name, max_positions, rope);
  } else if (type == "yarn") {
    rope.type = RopeSpec::Type::yarn;
    yarn_scaling(*parameters, name, max_positions, rope);
  } else if (type == "linear") {
    rope.type = RopeSpec::Type::linear;
    rope.factor = number(*parameters, cat(name, ".factor"), "factor", std::nullopt, false);
  } else if (type == "dynamic") {
    rope.type = RopeSpec::Type::dynamic;
    rope.factor = number(*parameters, cat(name, ".factor"), "factor", std::nullopt, false);
    rope.original_max_positions = max_positions;
  } else if (type == "longrope") {
    rope.type = RopeSpec::Type::longrope;
    longrope_scaling(*parameters, name, max_positions, head_dim, rope);
  } else if (type != "default" && !(parts && type == "mrope")) {
    problem(cat(name, ".", key),
            cat("rope of type ", shown(type),
                " is not supported; known are default, dynamic, linear, llama3, longrope, yarn"));
  }
  if (parts) three_parts(*parameters, name, head_dim, keys.sections, rope);
  return rope;
}

RopeSpec HfConfig::axial_rope(std::int64_t head_dim) {
  RopeSpec rope;
  rope.theta = positive("rope_theta", rope.theta);
  // The old spelling wins where both are given, as in HF.
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const Json* parameters = find(name);
    if (!parameters || parameters->is_null()) continue;
    if (!parameters->is_object()) {
      problem(name, cat("expected a map, got ", shown(*parameters)));
      continue;
    }
    rope.theta = number(*parameters, cat(name, ".rope_theta"), "rope_theta", rope.theta, false);
    const Json type = parameters->value("rope_type", Json("axial"));
    if (type != "axial") problem(cat(name, ".rope_type"), cat("only axial is supported, got ", shown(type)));
  }
  rope.sections = {0, head_dim / 4, head_dim / 4};
  rope.own_frequencies = true;
  return rope;
}

const std::vector<std::string>& neutral_keys() {
  static const std::vector<std::string> keys = {"add_cross_attention",
                                                "architectures",
                                                "attn_implementation",
                                                "auto_map",
                                                "bad_words_ids",
                                                "begin_suppress_tokens",
                                                "bos_token_id",
                                                "chunk_size_feed_forward",
                                                "cross_attention_hidden_size",
                                                "decoder_start_token_id",
                                                "diversity_penalty",
                                                "do_sample",
                                                "dtype",
                                                "early_stopping",
                                                "encoder_no_repeat_ngram_size",
                                                "eos_token_id",
                                                "exponential_decay_length_penalty",
                                                "finetuning_task",
                                                "forced_bos_token_id",
                                                "forced_decoder_ids",
                                                "forced_eos_token_id",
                                                "gradient_checkpointing",
                                                "id2label",
                                                "is_decoder",
                                                "is_encoder_decoder",
                                                "label2id",
                                                "length_penalty",
                                                "max_length",
                                                "min_length",
                                                "model_type",
                                                "name_or_path",
                                                "no_repeat_ngram_size",
                                                "num_beam_groups",
                                                "num_beams",
                                                "num_labels",
                                                "num_return_sequences",
                                                "output_attentions",
                                                "output_hidden_states",
                                                "output_scores",
                                                "pad_token_id",
                                                "prefix",
                                                "problem_type",
                                                "pruned_heads",
                                                "remove_invalid_values",
                                                "repetition_penalty",
                                                "return_dict",
                                                "return_dict_in_generate",
                                                "sep_token_id",
                                                "suppress_tokens",
                                                "task_specific_params",
                                                "temperature",
                                                "tf_legacy_loss",
                                                "tie_encoder_decoder",
                                                "tie_word_embeddings",
                                                "tokenizer_class",
                                                "top_k",
                                                "top_p",
                                                "torch_dtype",
                                                "torchscript",
                                                "transformers_version",
                                                "typical_p",
                                                "unsloth_fixed",
                                                "unsloth_version",
                                                "use_bfloat16",
                                                "use_cache"};
  return keys;
}

}  // namespace cornstarch::catalog
