#pragma once

#include <vector>

#include "cornstarch/catalog/resolve.h"

namespace cornstarch::plan {

/// What a step works on, over all replicas.
struct StepCounts {
  double tokens = 0;         ///< of the LLM, padding left out
  double token_pairs = 0;    ///< the sum over samples of their tokens squared
  double visible_pairs = 0;  ///< those that the attention mask leaves; by convention half of causal ones
  double targets = 0;        ///< tokens that go through the LLM's head
  double items = 0;          ///< the sum of the media items' item_flops
};

/// Floating-point operations of matrix products and attention in a step's forward and backward, by the two
/// conventions in use.
struct StepFlops {
  double masked = 0;  ///< the LLM's attention counts the pairs that its mask leaves
  double full_attention =
      0;  ///< it counts all of them, as PaLM's MFU does (Chowdhery et al. 2022, appendix B)
};

/// Of one item in its encoder, forward and backward.
double item_flops(const catalog::Modality& encoder, const catalog::Extents& item);

/// The model's own operations: nothing that is computed twice or on padding counts. A module counts once
/// where only its forward is needed, twice where gradients pass through it, three times where it trains.
StepFlops step_flops(const catalog::Modalities& modalities, const StepCounts& counts);

}  // namespace cornstarch::plan
