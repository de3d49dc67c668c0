#include "llama.h"

#include <algorithm>

#include "build.h"
#include "cornstarch/base/text.h"
#include "family.h"

namespace cornstarch::catalog {
namespace {

void check_shapes(HfConfig& config, const Llama& llama) {
  if (llama.hidden % llama.heads != 0) {
    config.problem("num_attention_heads",
                   cat("does not divide hidden_size: ", llama.heads, " and ", llama.hidden));
  }
  if (llama.heads % llama.kv_heads != 0) {
    config.problem("num_key_value_heads",
                   cat("does not divide num_attention_heads: ", llama.kv_heads, " and ", llama.heads));
  }
  if (llama.head_dim % 2 != 0) {
    config.problem("head_dim", cat("rotary embedding needs an even head size, got ", llama.head_dim));
  }
}

/// nn.Embedding's padding_idx: a negative one counts from the end. -1: none.
std::int64_t read_padding(HfConfig& config, std::int64_t vocab, std::optional<std::int64_t> fallback) {
  const auto said = config.optional_integer("pad_token_id");
  const auto id = config.json().contains("pad_token_id") ? said : fallback;
  if (!id) return -1;
  if (*id >= vocab || *id < -vocab) {
    config.problem("pad_token_id", cat("is outside of the vocabulary of ", vocab, ": ", *id));
  }
  return *id < 0 ? *id + vocab : *id;
}

ModuleSpec embedding(const Llama& llama) {
  const std::string name = "model.embed_tokens";
  ModuleSpec module{
      .name = name,
      .body = TokenEmbedding{llama.vocab, llama.hidden, name, llama.padding, llama.embedding_scale}};
  module.params.push_back({.name = name + ".weight",
                           .shape = {llama.vocab, llama.hidden},
                           .split = {0, 1},
                           .init = Init::normal,
                           .init_std = llama.std});
  return module;
}

ModuleSpec layer(const Llama& llama, std::int64_t index) {
  const std::string name = cat("model.layers.", index);
  const std::int64_t q_width = llama.heads * llama.head_dim;
  const std::int64_t kv_width = llama.kv_heads * llama.head_dim;
  BlockSpec block;
  if (llama.norms != Norms::behind) {
    const bool around = llama.norms == Norms::around;
    block.norm1 = llama.norm(name + ".input_layernorm");
    block.norm2 = llama.norm(name + (around ? ".pre_feedforward_layernorm" : ".post_attention_layernorm"));
  }
  if (llama.norms != Norms::before) {
    block.attention_norm = llama.norm(name + ".post_attention_layernorm");
    block.feed_forward_norm = llama.norm(name + ".post_feedforward_layernorm");
  }
  block.attention.heads = llama.heads;
  block.attention.kv_heads = llama.kv_heads;
  block.attention.head_dim = llama.head_dim;
  block.attention.q = {name + ".self_attn.q_proj", llama.hidden, q_width, llama.qkv_bias};
  block.attention.k = {name + ".self_attn.k_proj", llama.hidden, kv_width, llama.qkv_bias};
  block.attention.v = {name + ".self_attn.v_proj", llama.hidden, kv_width, llama.qkv_bias};
  block.attention.o = {name + ".self_attn.o_proj", q_width, llama.hidden, llama.o_bias};
  if (llama.qk_norm != QkNorm::none) {
    const auto norm = [&](const char* part, std::int64_t width) {
      const std::int64_t size = llama.qk_norm == QkNorm::head ? llama.head_dim : width;
      return NormSpec{NormKind::rms_norm, llama.eps, size, name + part, llama.norm_offset};
    };
    block.attention.q_norm = norm(".self_attn.q_norm", q_width);
    block.attention.k_norm = norm(".self_attn.k_norm", kv_width);
  }
  block.attention.causal = true;
  block.attention.softcap = llama.attention_softcap;
  if (!llama.windows.empty()) block.attention.window = llama.windows.at(static_cast<std::size_t>(index));
  block.attention.q_scale = llama.q_scale;
  block.attention.rope = llama.window_rope && block.attention.window > 0 ? *llama.window_rope : llama.rope;
  block.feed_forward.activation = llama.activation;
  block.feed_forward.gate = LinearSpec{name + ".mlp.gate_proj", llama.hidden, llama.mlp, llama.mlp_bias};
  block.feed_forward.up = {name + ".mlp.up_proj", llama.hidden, llama.mlp, llama.mlp_bias};
  block.feed_forward.down = {name + ".mlp.down_proj", llama.mlp, llama.hidden, llama.mlp_bias};
  return block_module(name, block, {llama.std, llama.std, llama.std, llama.std});
}

ModuleSpec head(const Llama& llama) {
  const LinearSpec linear{"lm_head", llama.hidden, llama.vocab, false};
  ModuleSpec module{.name = "lm_head", .body = LmHead{linear, llama.final_softcap}};
  add_linear(module.params, linear, LinearSplit::rows, 1, llama.std);
  if (llama.tied) module.params[0].tied_to = "model.embed_tokens.weight";
  return module;
}

}  // namespace

Llama read_llama(HfConfig& config, const LlamaDefaults& defaults) {
  Llama llama{};
  llama.vocab = config.size("vocab_size", defaults.vocab);
  llama.hidden = config.size("hidden_size", defaults.hidden);
  llama.mlp = config.size("intermediate_size", defaults.mlp);
  llama.layers = config.size("num_hidden_layers", defaults.layers, {}, HfConfig::kMaxLayers);
  llama.heads = config.size("num_attention_heads", defaults.heads);
  const bool says_kv_heads = config.json().contains("num_key_value_heads");
  llama.kv_heads = config.optional_size("num_key_value_heads")
                       .value_or(says_kv_heads ? llama.heads : defaults.kv_heads.value_or(llama.heads));
  llama.head_dim =
      config.optional_size("head_dim")
          .value_or(defaults.head_dim.value_or(std::max<std::int64_t>(1, llama.hidden / llama.heads)));
  llama.max_positions = config.size("max_position_embeddings", defaults.max_positions);
  llama.activation = config.activation(defaults.activation_key, defaults.activation);
  llama.eps = config.positive("rms_norm_eps", defaults.eps);
  llama.std = config.non_negative("initializer_range", 0.02);
  if (llama.std == 0) llama.std = 0.02;  // as PreTrainedModel._init_weights has it
  llama.qkv_bias = llama.o_bias = defaults.attention_bias && config.flag("attention_bias", false);
  llama.mlp_bias = defaults.mlp_bias && config.flag("mlp_bias", false);
  llama.tied = config.flag("tie_word_embeddings", defaults.tied);
  llama.rope = config.rope(llama.max_positions, llama.head_dim, defaults.rope);
  config.require_number("attention_dropout", 0.0, "dropout is not supported: only 0");
  config.require_number("pretraining_tp", 1.0, "only 1 is supported");
  // Of converters and of the first Llama's files: HF's class does not read them.
  config.ignore({"is_llama_config", "rope_interleaved", "max_sequence_length"});
  llama.padding = read_padding(config, llama.vocab, defaults.padding);
  check_shapes(config, llama);
  return llama;
}

std::int64_t read_window(HfConfig& config) {
  const bool says = config.json().contains("sliding_window");
  const auto window = config.optional_size("sliding_window");
  return says ? window.value_or(0) : 4096;
}

std::vector<std::int64_t> read_layer_windows(HfConfig& config, std::int64_t layers, std::int64_t window,
                                             const std::function<bool(std::int64_t)>& slides) {
  config.ignore({"layer_types"});
  const Json types = config.json().value("layer_types", Json());
  const auto known = [](const Json& type) { return type == "full_attention" || type == "sliding_attention"; };
  const bool good =
      types.is_null() || (types.is_array() && types.size() == static_cast<std::size_t>(layers) &&
                          std::all_of(types.begin(), types.end(), known));
  if (!good) {
    config.problem("layer_types", cat("expected full_attention or sliding_attention for each of ", layers,
                                      " layers, got ", shown(types)));
    return {};
  }
  std::vector<std::int64_t> windows;
  for (std::int64_t i = 0; i < layers; ++i) {
    const bool own = types.is_null() ? slides(i) : types[static_cast<std::size_t>(i)] == "sliding_attention";
    windows.push_back(own ? window : 0);
  }
  return windows;
}

void build_llama(const Llama& llama, ModelSpec& spec) {
  spec.modules.push_back(embedding(llama));
  for (std::int64_t i = 0; i < llama.layers; ++i) spec.modules.push_back(layer(llama, i));
  spec.modules.push_back(norm_module("model.norm", llama.norm("model.norm")));
  spec.modules.push_back(head(llama));
  spec.hidden_size = llama.hidden;
  spec.num_layers = llama.layers;
  spec.heads = llama.heads;
  spec.kv_heads = llama.kv_heads;
  spec.vocab_size = llama.vocab;
  spec.max_positions = llama.max_positions;
  if (llama.rope.type == RopeSpec::Type::dynamic)  // made for `factor` times as many
    spec.max_positions = static_cast<std::int64_t>(std::clamp(llama.rope.factor, 1.0, 1e9) *
                                                   static_cast<double>(llama.max_positions));
  spec.tied_embeddings = llama.tied;
}

Family llama_like(FamilyInfo info, const std::string& architecture, void (*build)(HfConfig&, ModelSpec&)) {
  return {
      .info = info,
      .section = "text_config",
      .model_types = {info.name},
      .architecture = architecture,
      .build = build,
      .cut_prefix = "model.",
      .weight_prefixes = {"model.", ""},
      .ignored_weights = {"*rotary_emb.inv_freq"},
      .telltales =
          {{"*.self_attn.o_proj.bias", "they are a Llama's with attention_bias: true in config.json"},
           {"*.mlp.*_proj.bias", "they are a Llama's with mlp_bias: true in config.json"},
           {"*.self_attn.?_proj.bias",
            "queries, keys and values with biases, but not the output, are Qwen2's"},
           {"*.self_attn.?_norm.weight", "queries and keys with norms are Qwen3's, OLMo 2's or Gemma 3's"},
           {"*.pre_feedforward_layernorm.weight", "norms on both sides of a layer are Gemma 2's or 3's"},
           {"*.mlp.experts.*", "experts are a mixture's, such as Qwen-MoE's or DeepSeek's"},
           {"*.block_sparse_moe.*", "experts are a mixture's, such as Mixtral's"}},
  };
}

const Family& llama_family() {
  static const Family family = [] {
    const auto build = [](HfConfig& config, ModelSpec& spec) {
      const Llama llama = read_llama(config, {.attention_bias = true, .mlp_bias = true});
      if (config.problems().empty()) build_llama(llama, spec);
    };
    Family llama = llama_like(
        {"llama",
         ModelKind::llm,
         "Llama 2, 3 and relatives (LlamaForCausalLM)",
         {config::ChatTemplate::llama3, config::ChatTemplate::chatml, config::ChatTemplate::vicuna}},
        "LlamaForCausalLM", build);
    llama.architectures = {"LLaMAForCausalLM"};
    return llama;
  }();
  return family;
}

}  // namespace cornstarch::catalog
