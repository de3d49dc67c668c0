#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "cornstarch/checkpoint/checkpoint.h"
#include "cornstarch/dataio/sampler.h"
#include "loss_window.h"

namespace cornstarch::train {

/// How far a run has come: what decides its future beside tensors. The same on every rank.
struct Course {
  int steps = 0;                   ///< complete
  dataio::Position position = {};  ///< of the next one's first sample,
  std::int64_t window = 0;         ///< and a fingerprint of the window that it is in, if it begins none
  int evaluated = -1;              ///< the step behind which held-out samples were measured last
  std::map<std::string, std::int64_t> updates = {};  ///< of each modality
  std::int64_t read = 0, bad = 0;       ///< samples that were read, and those of them that were bad
  std::int64_t cut = 0, cut_texts = 0;  ///< recordings and samples that were cut
  std::int64_t left_out = 0;            ///< steps that nothing was learnt from,
  int bad_in_a_row = 0;                 ///< and the last of them that follow each other and are not finite
  std::int64_t spikes = 0;              ///< steps whose loss was out of line
  LossWindow losses = {};               ///< that say what is; empty where nobody asks

  void write(checkpoint::Manifest& manifest) const;
  static Course of(const checkpoint::Manifest& manifest);
};

}  // namespace cornstarch::train
