#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cornstarch::models {

/// What the LLM's stages take of a microbatch's text. Where something stands is worked out on the host, so
/// that no stage has to look into a tensor.
struct Text {
  at::Tensor ids;                        ///< [b, t] int64; catalog::placeholder_id() for feature rows
  std::vector<at::Tensor> placeholders;  ///< per encoder [n] int64: rows of the flattened ids
  at::Tensor target_rows;     ///< [n] int64: rows of the flattened hidden states whose next token has a label
  at::Tensor targets;         ///< [n] int64: that label
  at::Tensor target_samples;  ///< [n] int64: its sample, 0 to samples - 1
  std::int64_t samples = 0;   ///< of the microbatch
  bool learns = false;        ///< whether any rank of the replica has a target in this microbatch

  std::int64_t num_targets() const { return targets.numel(); }
};

/// Of ids and unshifted labels [b, t] int64 (catalog::kIgnoreLabel: no target), on the CPU. Throws Failure
/// (internal) for a placeholder without an encoder and an id outside of the vocabulary.
Text make_text(const at::Tensor& ids, const at::Tensor& labels, std::size_t encoders, std::int64_t vocab);

/// What of it lies on a context-parallel rank that holds `tokens` (ascending rows of the flattened ids): ids
/// [1, n] with their targets. `placeholders` are all among them.
Text take_tokens(const Text& whole, const std::vector<std::int64_t>& tokens);

}  // namespace cornstarch::models
