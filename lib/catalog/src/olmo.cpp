#include "llama.h"

namespace cornstarch::catalog {
namespace {

/// Llama with norms behind attention and feed-forward instead of before them, and of all queries and all
/// keys.
void build(HfConfig& config, ModelSpec& spec) {
  Llama olmo = read_llama(config, {.vocab = 50304, .attention_bias = true, .padding = 1, .eps = 1e-5});
  olmo.norms = Norms::behind;
  olmo.qk_norm = QkNorm::all_heads;
  if (config.problems().empty()) build_llama(olmo, spec);
}

}  // namespace

const Family& olmo2_family() {
  static const Family family =
      llama_like({"olmo2", ModelKind::llm, "OLMo 2 (Olmo2ForCausalLM)"}, "Olmo2ForCausalLM", build);
  return family;
}

}  // namespace cornstarch::catalog
