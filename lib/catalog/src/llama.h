#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "family.h"

/// Llama, and the families that are Llama with other defaults and a few parts more.
namespace cornstarch::catalog {

struct Llama {
  std::int64_t vocab, hidden, mlp, layers, heads, kv_heads, head_dim, max_positions, padding;
  Activation activation;
  double eps, std;
  bool qkv_bias, o_bias, mlp_bias, tied;
  bool qk_norm = false;
  std::vector<std::int64_t> windows = {};  ///< of each layer, or none
  RopeSpec rope;

  NormSpec norm(const std::string& prefix) const { return {NormKind::rms_norm, eps, hidden, prefix}; }
};

/// Where HF's config classes of these families differ.
struct LlamaDefaults {
  std::int64_t vocab = 32000, mlp = 11008, max_positions = 2048;
  std::optional<std::int64_t> kv_heads = {};      ///< as many as heads
  std::optional<std::int64_t> head_dim = {};      ///< hidden_size / heads
  bool attention_bias = false, mlp_bias = false;  ///< whether there is an option for it
};

/// Problems stay in the config; only without any is the result of use.
Llama read_llama(HfConfig& config, const LlamaDefaults& defaults);
void build_llama(const Llama& llama, ModelSpec& spec);

/// What all of them have in common; `build` reads the config.
Family llama_like(FamilyInfo info, const std::string& architecture, void (*build)(HfConfig&, ModelSpec&));

}  // namespace cornstarch::catalog
