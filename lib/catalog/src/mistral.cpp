#include <algorithm>

#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// Mistral is Llama whose tokens see no further back than `sliding_window`. A sequence that is no longer than
/// the window does not notice it, so that it bounds the sequence here; null is no window.
void build(HfConfig& config, ModelSpec& spec) {
  constexpr std::int64_t kDefaultWindow = 4096;
  Llama mistral = read_llama(config, {.mlp = 14336, .max_positions = 131072, .kv_heads = 8, .biases = false});
  const bool says_window = config.json().contains("sliding_window");
  const auto window = config.optional_size("sliding_window");
  if (window || !says_window)
    mistral.max_positions = std::min(mistral.max_positions, window.value_or(kDefaultWindow));
  if (config.problems().empty()) build_llama(mistral, spec);
}

}  // namespace

const Family& mistral_family() {
  static const Family family{
      .info = {"mistral", ModelKind::llm, "Mistral 7B and relatives (MistralForCausalLM)"},
      .section = "text_config",
      .model_types = {"mistral"},
      .architecture = "MistralForCausalLM",
      .build = build,
      .cut_prefix = "model.",
      .weight_prefixes = {"model.", ""},
      .ignored_weights = {"*rotary_emb.inv_freq"},
      .telltales = llama_telltales(),
  };
  return family;
}

}  // namespace cornstarch::catalog
