#include "cornstarch/dataio/sampler.h"

#include <mutex>

#include "cornstarch/base/random.h"
#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {

/// The order of the epoch that was asked for last: consecutive steps mostly share it.
struct Sampler::Cache {
  std::mutex mutex;
  std::int64_t epoch = -1;
  std::vector<std::int64_t> order;
};

Sampler::Sampler(std::int64_t dataset_size, std::int64_t global_batch, bool shuffle, std::uint64_t seed)
    : size_(dataset_size),
      batch_(global_batch),
      shuffle_(shuffle),
      seed_(seed),
      cache_(std::make_shared<Cache>()) {
  if (size_ < 1 || batch_ < 1)
    throw Failure(ExitCode::internal, cat("a sampler of ", size_, " samples in batches of ", batch_));
}

std::vector<std::int64_t> Sampler::global_batch(std::int64_t step) const {
  return samples(step * batch_, batch_);
}

GlobalBatch Sampler::at(const Position& position) const {
  return {samples(position.samples, batch_), {}, {position.samples + batch_, 0}};
}

std::vector<std::int64_t> Sampler::samples(std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> samples;
  samples.reserve(static_cast<std::size_t>(count));
  const std::lock_guard lock(cache_->mutex);
  for (std::int64_t at = first; at < first + count; ++at) {
    const std::int64_t epoch = at / size_;
    const std::int64_t place = at % size_;
    if (shuffle_ && cache_->epoch != epoch) {
      cache_->order = permutation(size_, seed_, static_cast<std::uint64_t>(epoch));
      cache_->epoch = epoch;
    }
    samples.push_back(shuffle_ ? cache_->order[static_cast<std::size_t>(place)] : place);
  }
  return samples;
}

}  // namespace cornstarch::dataio
