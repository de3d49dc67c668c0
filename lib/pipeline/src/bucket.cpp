#include "bucket.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace cornstarch::pipeline {
namespace {

std::int64_t bytes_of(const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); }

/// The elements that this rank owns.
Range share_of(const Bucket& bucket) {
  if (!bucket.sharded) return {0, bucket.elements};
  const std::int64_t size = bucket.values.numel() / bucket.group->size();
  return {bucket.group->rank() * size, (bucket.group->rank() + 1) * size};
}

}  // namespace

std::vector<Bucket> deal(const std::vector<Stored>& parameters, const StoreOptions& options) {
  std::vector<Bucket> buckets;
  std::int64_t filled = 0;
  for (std::size_t i = parameters.size(); i-- > 0;) {
    const Stored& p = parameters[i];
    const std::int64_t bytes = bytes_of(p.parameter->value);
    const bool fits =
        !buckets.empty() && buckets.back().group == p.group && filled + bytes <= options.bucket_bytes;
    if (!fits) {
      buckets.emplace_back().group = p.group;
      buckets.back().sharded = options.sharded && p.group->size() > 1;
      filled = 0;
    }
    buckets.back().parameters.push_back(p);
    buckets.back().elements += p.parameter->value.numel();
    filled += bytes;
  }
  return buckets;
}

void lay_out(Bucket& bucket) {
  const at::NoGradGuard no_grad;
  const std::int64_t parts = bucket.sharded ? bucket.group->size() : 1;
  const std::int64_t size = (bucket.elements + parts - 1) / parts * parts;
  const auto options = bucket.parameters.front().parameter->value.options().requires_grad(false);
  bucket.values = at::zeros({size}, options);
  bucket.gradients = at::zeros({size}, options);
  std::int64_t offset = 0;
  for (const Stored& p : bucket.parameters) {
    at::Tensor& value = p.parameter->value;
    const at::Tensor place = bucket.values.narrow(0, offset, value.numel()).view(value.sizes());
    place.copy_(value);
    value.set_data(place);
    value.mutable_grad() = bucket.gradients.narrow(0, offset, value.numel()).view(value.sizes());
    offset += value.numel();
  }
  const Range own = share_of(bucket);
  bucket.own_values = bucket.values.narrow(0, own.begin, own.size());
  bucket.own_gradients = bucket.sharded ? at::zeros({own.size()}, options) : bucket.gradients;
}

void add_segments(const Bucket& bucket, std::vector<Segment>& segments) {
  const Range own = share_of(bucket);
  const bool speaks = bucket.sharded || bucket.group->rank() == 0;
  std::int64_t offset = 0;
  for (const Stored& p : bucket.parameters) {
    const std::int64_t end = offset + p.parameter->value.numel();
    const std::int64_t first = std::max(offset, own.begin), last = std::min(end, own.end);
    if (first < last)
      segments.push_back(
          {p.parameter, first - offset, bucket.own_values.narrow(0, first - own.begin, last - first),
           bucket.own_gradients.narrow(0, first - own.begin, last - first), p.counts && speaks});
    offset = end;
  }
}

}  // namespace cornstarch::pipeline
