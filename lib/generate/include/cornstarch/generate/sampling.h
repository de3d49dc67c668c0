#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "cornstarch/base/random.h"

namespace cornstarch::generate {

/// How the next token is chosen of the logits of all.
struct Sampling {
  double temperature = 0;  ///< 0: the largest logit, the first of equals
  double top_p = 1;        ///< of the likeliest tokens only, as many as have this probability together
  std::uint64_t seed = 0;
};

/// The tokens of one answer: a function of the logits, of the seed and of the answer's name.
class Sampler {
 public:
  Sampler(const Sampling& sampling, const std::string& answer)
      : sampling_(sampling), philox_(sampling.seed, "answer " + answer) {}
  std::int64_t next(std::span<const double> logits);

 private:
  Sampling sampling_;
  Philox philox_;
  std::uint64_t draws_ = 0;
};

}  // namespace cornstarch::generate
