#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "family.h"

/// Llama, and the families that are Llama with other defaults and a few parts more.
namespace cornstarch::catalog {

/// Where a layer has norms: before attention and feed-forward, behind them, or both.
enum class Norms { before, behind, around };
/// What norms of queries and keys are over.
enum class QkNorm { none, head, all_heads };

struct Llama {
  std::int64_t vocab, hidden, mlp, layers, heads, kv_heads, head_dim, max_positions, padding;
  Activation activation;
  double eps, std;
  bool qkv_bias, o_bias, mlp_bias, tied;
  QkNorm qk_norm = QkNorm::none;
  Norms norms = Norms::before;
  double norm_offset = 0, q_scale = 1, embedding_scale = 1;
  double attention_softcap = 0, final_softcap = 0;
  std::vector<std::int64_t> windows = {};  ///< of each layer, or none
  RopeSpec rope;
  std::optional<RopeSpec> window_rope = {};  ///< of layers with a window, where it is another

  NormSpec norm(const std::string& prefix) const {
    return {NormKind::rms_norm, eps, hidden, prefix, norm_offset};
  }
};

/// Where HF's config classes of these families differ.
struct LlamaDefaults {
  std::int64_t vocab = 32000, hidden = 4096, mlp = 11008, layers = 32, heads = 32, max_positions = 2048;
  std::optional<std::int64_t> kv_heads = {};      ///< as many as heads
  std::optional<std::int64_t> head_dim = {};      ///< hidden_size / heads
  bool attention_bias = false, mlp_bias = false;  ///< whether there is an option for it
  bool tied = false;
  std::optional<std::int64_t> padding = {};
  double eps = 1e-6;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";
  RopeKeys rope = {};
};

/// Problems stay in the config; only without any is the result of use.
Llama read_llama(HfConfig& config, const LlamaDefaults& defaults);
/// sliding_window, 4096 where it is not there; null is 0.
std::int64_t read_window(HfConfig& config);
/// `window` of the layers that layer_types calls sliding or, where it is not there, of those that slide.
std::vector<std::int64_t> read_layer_windows(HfConfig& config, std::int64_t layers, std::int64_t window,
                                             const std::function<bool(std::int64_t layer)>& slides);
void build_llama(const Llama& llama, ModelSpec& spec);

/// What all of them have in common; `build` reads the config.
Family llama_like(FamilyInfo info, const std::string& architecture, void (*build)(HfConfig&, ModelSpec&));

}  // namespace cornstarch::catalog
