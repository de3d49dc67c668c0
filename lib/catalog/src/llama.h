#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "family.h"

/// Llama, and the families that are Llama with other defaults.
namespace cornstarch::catalog {

struct Llama {
  std::int64_t vocab, hidden, mlp, layers, heads, kv_heads, head_dim, max_positions, padding;
  Activation activation;
  double eps, std;
  bool attention_bias, mlp_bias, tied;
  RopeSpec rope;

  NormSpec norm(const std::string& prefix) const { return {NormKind::rms_norm, eps, hidden, prefix}; }
};

/// Where HF's config classes of these families differ.
struct LlamaDefaults {
  std::int64_t mlp = 11008, max_positions = 2048;
  std::optional<std::int64_t> kv_heads = {};  ///< as many as heads
  bool biases = true;                         ///< whether there are options for them
};

/// Problems stay in the config; only without any is the result of use.
Llama read_llama(HfConfig& config, const LlamaDefaults& defaults);
void build_llama(const Llama& llama, ModelSpec& spec);

const std::vector<Telltale>& llama_telltales();

}  // namespace cornstarch::catalog
