#include "cornstarch/generate/answer.h"

#include <ATen/core/Tensor.h>

namespace cornstarch::generate {

Answer answer(Decoder& decoder, const dataio::Prompt& prompt, const Sampling& sampling, const Limits& limits,
              const std::string& name, const std::function<bool(std::int64_t)>& more) {
  Answer out;
  Sampler sampler(sampling, name);
  at::Tensor logits = decoder.begin(prompt);
  while (std::ssize(out.ids) < limits.max_tokens) {
    const at::Tensor wide = logits.to(at::kCPU, at::kDouble).contiguous();
    const std::int64_t id =
        sampler.next({wide.const_data_ptr<double>(), static_cast<std::size_t>(wide.numel())});
    if (limits.ends.contains(id)) {
      out.ended = Ended::token;
      break;
    }
    out.ids.push_back(id);
    if (!more(id)) {
      out.ended = Ended::stopped;
      break;
    }
    // Every token of an answer has a position.
    if (std::ssize(out.ids) == limits.max_tokens || decoder.length() + 1 >= decoder.max_length()) break;
    logits = decoder.go_on(id);
  }
  return out;
}

}  // namespace cornstarch::generate
