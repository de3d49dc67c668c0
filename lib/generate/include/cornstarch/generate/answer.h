#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "cornstarch/generate/decoder.h"
#include "cornstarch/generate/sampling.h"

namespace cornstarch::generate {

struct Limits {
  std::int64_t max_tokens = 256;  ///< of an answer; it never grows beyond the model's positions
  std::set<std::int64_t> ends;    ///< tokens that end one and are no part of it
};

enum class Ended { token, length, stopped };

struct Answer {
  std::vector<std::int64_t> ids;
  Ended ended = Ended::length;
};

/// Answers a prompt. `name` goes into what is drawn; `more` hears of each token and says whether to go on.
Answer answer(Decoder& decoder, const dataio::Prompt& prompt, const Sampling& sampling, const Limits& limits,
              const std::string& name, const std::function<bool(std::int64_t)>& more);

}  // namespace cornstarch::generate
