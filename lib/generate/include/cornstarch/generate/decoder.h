#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/dataio/prompt.h"

namespace cornstarch::generate {

/// A whole model on one device that says how likely each token is next. Layers keep keys and values, so a
/// token costs its own row; but where rotary embeddings change with every token (dynamic, beyond the
/// original length), everything is computed anew each time, as training computes it.
class Decoder {
 public:
  /// With each modality's pretrained weights. `modalities` must stay where they are. Throws Failure.
  Decoder(const catalog::Modalities& modalities, at::ScalarType dtype, at::Device device);
  ~Decoder();

  /// Logits [vocab] of the first token behind the prompt. Throws Failure (usage) where the model has no
  /// position for it.
  at::Tensor begin(const dataio::Prompt& prompt);
  /// Those of the token behind this one.
  at::Tensor go_on(std::int64_t id);

  /// Tokens so far, and how many there can be.
  std::int64_t length() const;
  std::int64_t max_length() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::generate
