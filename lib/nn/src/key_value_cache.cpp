#include "cornstarch/nn/key_value_cache.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::nn {
namespace {

/// Tokens that memory is taken for at a time, at least.
constexpr std::int64_t kBlock = 256;

at::Tensor last(const at::Tensor& x, std::int64_t length, std::int64_t n) {
  return x.narrow(1, length - n, n);
}

/// Room for `room` tokens, the first being the last `keep` of what is there.
at::Tensor moved(const at::Tensor& old, std::int64_t length, std::int64_t keep, std::int64_t room,
                 const at::Tensor& like) {
  at::Tensor out = at::empty({1, room, like.size(2)}, like.options());
  if (keep > 0) out.narrow(1, 0, keep).copy_(last(old, length, keep));
  return out;
}

}  // namespace

KeyValueCache::Held KeyValueCache::add(std::size_t layer, const at::Tensor& keys, const at::Tensor& values,
                                       std::int64_t window) {
  if (layers_.size() <= layer) layers_.resize(layer + 1);
  Layer& at = layers_[layer];
  if (keys.size(0) != 1 || (at.length > 0 && keys.size(1) != 1))
    throw Failure(ExitCode::internal, cat("a cache of one sequence takes a prompt, then one token at a time; "
                                          "given ",
                                          keys.size(0), " x ", keys.size(1)));
  const auto seen = [&](std::int64_t n) { return window > 0 ? std::min(n, window) : n; };
  const std::int64_t n = seen(keys.size(1));
  if (!at.keys.defined() || at.length + n > at.keys.size(1)) {
    // The window of the token to come, itself among it.
    const std::int64_t keep = seen(at.length + 1) - 1;
    const std::int64_t room = keep + n + std::max(kBlock, keep / 2);
    at.keys = moved(at.keys, at.length, keep, room, keys);
    at.values = moved(at.values, at.length, keep, room, values);
    at.length = keep;
  }
  at.keys.narrow(1, at.length, n).copy_(last(keys, keys.size(1), n));
  at.values.narrow(1, at.length, n).copy_(last(values, values.size(1), n));
  at.length += n;
  const std::int64_t visible = seen(at.length);
  return {last(at.keys, at.length, visible), last(at.values, at.length, visible)};
}

std::int64_t KeyValueCache::bytes() const {
  std::int64_t bytes = 0;
  for (const Layer& at : layers_)
    if (at.keys.defined()) bytes += static_cast<std::int64_t>(at.keys.nbytes() + at.values.nbytes());
  return bytes;
}

}  // namespace cornstarch::nn
