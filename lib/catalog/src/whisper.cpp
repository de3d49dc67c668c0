#include <algorithm>

#include "build.h"
#include "cornstarch/base/text.h"
#include "family.h"

namespace cornstarch::catalog {
namespace {

/// Where the config classes of Whisper and of those who took its encoder differ.
struct Defaults {
  std::int64_t hidden, mlp, layers, heads, mels;
  const char* std;
};

struct Whisper {
  std::int64_t hidden, mlp, layers, heads, mels, positions;
  Activation activation;
  double std;

  NormSpec norm(const std::string& prefix) const { return {NormKind::layer_norm, 1e-5, hidden, prefix}; }
};

void check_options(HfConfig& config) {
  for (const char* key : {"dropout", "attention_dropout", "activation_dropout", "encoder_layerdrop"}) {
    config.require_number(key, 0.0, "dropout is not supported: only 0");
  }
  config.require_false("apply_spec_augment", "SpecAugment is not supported: only false");
  // The decoder's, generation's and classification's: the encoder does not read them. scale_embedding scales
  // the decoder's token embeddings only.
  config.ignore({"vocab_size", "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim",
                 "decoder_layerdrop", "max_target_positions", "scale_embedding", "use_weighted_layer_sum",
                 "classifier_proj_size", "median_filter_width", "mask_time_prob", "mask_time_length",
                 "mask_time_min_masks", "mask_feature_prob", "mask_feature_length", "mask_feature_min_masks",
                 "alignment_heads", "num_key_value_heads"});
}

Whisper read(HfConfig& config, const Defaults& defaults) {
  Whisper whisper{};
  whisper.hidden = config.size("d_model", defaults.hidden, "hidden_size");
  whisper.mlp = config.size("encoder_ffn_dim", defaults.mlp);
  whisper.layers = config.size("encoder_layers", defaults.layers, "num_hidden_layers", HfConfig::kMaxLayers);
  whisper.heads = config.size("encoder_attention_heads", defaults.heads, "num_attention_heads");
  whisper.mels = config.size("num_mel_bins", defaults.mels);
  whisper.positions = config.size("max_source_positions", 1500);
  whisper.activation = config.activation("activation_function", "gelu");
  whisper.std = config.non_negative(defaults.std, 0.02);
  check_options(config);
  if (whisper.hidden % whisper.heads != 0) {
    config.problem("encoder_attention_heads",
                   cat("does not divide d_model: ", whisper.heads, " and ", whisper.hidden));
  }
  if (whisper.hidden % 2 != 0 || whisper.hidden < 4) {
    config.problem("d_model",
                   cat("sinusoidal positions need an even number of at least 4, got ", whisper.hidden));
  }
  return whisper;
}

ModuleSpec convolution(const Conv1d& conv, double std) {
  ModuleSpec module{.name = conv.prefix, .body = conv};
  ParamSpec weight{.name = conv.prefix + ".weight", .shape = {conv.out, conv.in, 3}};
  weight.init = Init::normal;
  weight.init_std = std;
  weight.split = {conv.split_output ? 0 : 1, 1};
  ParamSpec bias{.name = conv.prefix + ".bias", .shape = {conv.out}};
  if (conv.split_output) bias.split = {0, 1};
  module.params = {weight, bias};
  return module;
}

ModuleSpec positions(const Whisper& whisper) {
  const std::string name = "embed_positions";
  ModuleSpec module{.name = name, .body = AddPositions{whisper.positions, whisper.hidden, name}};
  module.params.push_back({.name = name + ".weight",
                           .shape = {whisper.positions, whisper.hidden},
                           .init = Init::sinusoid,
                           .fixed = true});
  return module;
}

ModuleSpec layer(const Whisper& whisper, std::int64_t index) {
  const std::string name = cat("layers.", index);
  const auto attention = [&](const std::string& part, bool bias) {
    return LinearSpec{name + ".self_attn." + part, whisper.hidden, whisper.hidden, bias};
  };
  BlockSpec block;
  block.norm1 = whisper.norm(name + ".self_attn_layer_norm");
  block.norm2 = whisper.norm(name + ".final_layer_norm");
  block.attention.heads = block.attention.kv_heads = whisper.heads;
  block.attention.head_dim = whisper.hidden / whisper.heads;
  block.attention.q = attention("q_proj", true);
  block.attention.k = attention("k_proj", false);
  block.attention.v = attention("v_proj", true);
  block.attention.o = attention("out_proj", true);
  block.feed_forward.activation = whisper.activation;
  block.feed_forward.up = {name + ".fc1", whisper.hidden, whisper.mlp, true};
  block.feed_forward.down = {name + ".fc2", whisper.mlp, whisper.hidden, true};
  return block_module(name, block, {whisper.std, whisper.std, whisper.std, whisper.std});
}

/// `pool`: how many tokens behind the layers become one.
void build_whisper(const Whisper& whisper, std::int64_t pool, ModelSpec& spec) {
  spec.modules.push_back(convolution({whisper.mels, whisper.hidden, 1, true, "conv1"}, whisper.std));
  spec.modules.push_back(convolution({whisper.hidden, whisper.hidden, 2, false, "conv2"}, whisper.std));
  spec.modules.push_back(positions(whisper));
  for (std::int64_t i = 0; i < whisper.layers; ++i) spec.modules.push_back(layer(whisper, i));
  if (pool > 1) {
    const AvgPool pooler{.columns = whisper.positions, .column_stride = pool};
    spec.modules.push_back({.name = "avg_pooler", .body = pooler});
  }
  spec.modules.push_back(norm_module("layer_norm", whisper.norm("layer_norm")));
  spec.hidden_size = whisper.hidden;
  spec.num_layers = whisper.layers;
  spec.heads = spec.kv_heads = whisper.heads;
  spec.item_shape = {whisper.mels, 2 * whisper.positions};
}

void build(HfConfig& config, ModelSpec& spec) {
  const Whisper whisper = read(config, {384, 1536, 4, 6, 80, "init_std"});
  if (config.problems().empty()) build_whisper(whisper, 1, spec);
}

/// Whisper's encoder, of whose tokens two and two are averaged in front of the last norm.
void build_qwen2_audio(HfConfig& config, ModelSpec& spec) {
  const Whisper whisper = read(config, {1280, 5120, 32, 20, 128, "initializer_range"});
  config.ignore({"intermediate_size"});
  if (whisper.positions < 2)
    config.problem("max_source_positions", "two positions become one token: expected at least 2, got 1");
  if (config.problems().empty()) build_whisper(whisper, 2, spec);
}

/// WhisperModel builds a decoder beside the encoder, with sizes of its own, and refuses what does not fit:
/// its heads must divide the width, and the id of padding must be one of its vocabulary (50256 by default).
void complete(const ModelSpec& spec, Json& config) {
  const auto size = [&](const char* key, std::int64_t fallback) {
    const Json value = config.value(key, Json(fallback));
    return value.is_number_integer() ? std::max<std::int64_t>(1, value.get<std::int64_t>()) : fallback;
  };
  if (spec.hidden_size % size("decoder_attention_heads", 6) != 0)
    config["decoder_attention_heads"] = spec.heads;
  if (!config.contains("pad_token_id") && size("vocab_size", 51865) <= 50256)
    config["pad_token_id"] = nullptr;
}

}  // namespace

const Family& whisper_family() {
  static const Family family{
      .info = {"whisper", ModelKind::audio, "Whisper's encoder (WhisperEncoder)"},
      .section = "",
      .model_types = {"whisper"},
      .architecture = "WhisperModel",
      .architectures = {"WhisperForConditionalGeneration", "WhisperEncoder"},
      .build = build,
      .cut_prefix = "",
      .weight_prefixes = {"model.encoder.", "encoder.", ""},
      .ignored_weights = {"model.decoder.*", "decoder.*", "proj_out.weight"},
      .complete = complete,
  };
  return family;
}

const Family& qwen2_audio_family() {
  static const Family family{
      .info = {"qwen2_audio_encoder", ModelKind::audio, "Qwen2-Audio's encoder (Qwen2AudioEncoder)"},
      .section = "audio_config",
      .model_types = {"qwen2_audio_encoder"},
      .architecture = "Qwen2AudioEncoder",
      .build = build_qwen2_audio,
      .cut_prefix = "",
      .weight_prefixes = {"", "audio_tower.", "model.audio_tower."},
  };
  return family;
}

}  // namespace cornstarch::catalog
