#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// As Qwen2Config says: layers from max_window_layers on, or as layer_types has it.
std::vector<std::int64_t> read_windows(HfConfig& config, std::int64_t layers,
                                       std::int64_t max_window_layers = 28) {
  const std::int64_t said = read_window(config);
  const std::int64_t window = config.flag("use_sliding_window", false) ? said : 0;
  const std::int64_t first = config.optional_integer("max_window_layers").value_or(max_window_layers);
  config.ignore({"use_mrope"});
  return read_layer_windows(config, layers, window, [first](std::int64_t layer) { return layer >= first; });
}

/// Llama with biases of queries, keys and values.
void build_qwen2(HfConfig& config, ModelSpec& spec) {
  Llama qwen = read_llama(config, {.vocab = 151936, .mlp = 22016, .max_positions = 32768, .kv_heads = 32});
  qwen.qkv_bias = true;
  qwen.windows = read_windows(config, qwen.layers);
  if (config.problems().empty()) build_llama(qwen, spec);
}

/// Qwen2 whose rotary positions have three parts.
void build_qwen2_vl(HfConfig& config, ModelSpec& spec) {
  Llama qwen = read_llama(config, {.vocab = 152064,
                                   .hidden = 8192,
                                   .mlp = 29568,
                                   .layers = 80,
                                   .heads = 64,
                                   .max_positions = 32768,
                                   .kv_heads = 8,
                                   .eps = 1e-5,
                                   .rope = {.default_theta = 1e6, .sections = {16, 24, 24}}});
  qwen.qkv_bias = true;
  qwen.windows = read_windows(config, qwen.layers, 80);
  // Which tokens stand for media, the run's config says.
  config.ignore({"image_token_id", "video_token_id", "vision_token_id", "vision_start_token_id",
                 "vision_end_token_id"});
  if (config.problems().empty()) build_llama(qwen, spec);
}

/// Llama with norms of each query and key head.
void build_qwen3(HfConfig& config, ModelSpec& spec) {
  Llama qwen = read_llama(config, {.vocab = 151936,
                                   .mlp = 22016,
                                   .max_positions = 32768,
                                   .kv_heads = 32,
                                   .head_dim = 128,
                                   .attention_bias = true});
  qwen.qk_norm = QkNorm::head;
  qwen.windows = read_windows(config, qwen.layers);
  if (config.problems().empty()) build_llama(qwen, spec);
}

}  // namespace

const Family& qwen2_family() {
  static const Family family = llama_like(
      {"qwen2", ModelKind::llm, "Qwen 2 and 2.5 (Qwen2ForCausalLM)", {config::ChatTemplate::chatml}},
      "Qwen2ForCausalLM", build_qwen2);
  return family;
}

const Family& qwen2_vl_text_family() {
  static const Family family = llama_like({"qwen2_vl_text",
                                           ModelKind::llm,
                                           "the language model of Qwen2-VL (Qwen2VLTextModel)",
                                           {config::ChatTemplate::qwen2_vl, config::ChatTemplate::chatml}},
                                          "Qwen2VLTextModel", build_qwen2_vl);
  return family;
}

const Family& qwen2_5_vl_text_family() {
  static const Family family = llama_like({"qwen2_5_vl_text",
                                           ModelKind::llm,
                                           "the language model of Qwen2.5-VL (Qwen2_5_VLTextModel)",
                                           {config::ChatTemplate::qwen2_vl, config::ChatTemplate::chatml}},
                                          "Qwen2_5_VLTextModel", build_qwen2_vl);
  return family;
}

const Family& qwen3_family() {
  static const Family family =
      llama_like({"qwen3", ModelKind::llm, "Qwen 3 (Qwen3ForCausalLM)", {config::ChatTemplate::chatml}},
                 "Qwen3ForCausalLM", build_qwen3);
  return family;
}

}  // namespace cornstarch::catalog
