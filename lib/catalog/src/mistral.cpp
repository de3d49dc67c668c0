#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// Llama whose tokens see no further back than `sliding_window`; null is no window.
void build(HfConfig& config, ModelSpec& spec) {
  Llama mistral = read_llama(config, {.mlp = 14336, .max_positions = 131072, .kv_heads = 8});
  mistral.windows.assign(static_cast<std::size_t>(mistral.layers), read_window(config));
  if (config.problems().empty()) build_llama(mistral, spec);
}

}  // namespace

const Family& mistral_family() {
  static const Family family = llama_like({"mistral",
                                           ModelKind::llm,
                                           "Mistral 7B and relatives (MistralForCausalLM)",
                                           {config::ChatTemplate::mistral}},
                                          "MistralForCausalLM", build);
  return family;
}

}  // namespace cornstarch::catalog
