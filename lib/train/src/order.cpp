#include "order.h"

#include <algorithm>
#include <memory>

#include "cornstarch/base/parallel.h"
#include "cornstarch/dataio/packing.h"
#include "cornstarch/plan/flops.h"

namespace cornstarch::train {
namespace {

/// What a sample's forward and backward cost. One that cannot be read costs nothing: who reads it says so.
dataio::Load load_of(const dataio::Dataset& data, const catalog::Modalities& modalities,
                     std::int64_t sample) {
  const auto extents = data.extents(sample);
  const auto row = data.text(sample);
  if (!extents || !row) return {};
  plan::StepCounts counts;
  counts.tokens = static_cast<double>(row->length);
  counts.token_pairs = counts.tokens * counts.tokens;
  counts.visible_pairs = counts.token_pairs / 2;
  counts.targets = static_cast<double>(
      std::ranges::count_if(row->labels, [](std::int64_t label) { return label != dataio::kIgnoreLabel; }));
  for (std::size_t e = 0; e < extents->size(); ++e)
    for (const catalog::Extents& item : (*extents)[e]) counts.items += plan::item_flops(modalities[e], item);
  return {row->length, plan::step_flops(modalities, counts).masked};
}

}  // namespace

std::function<dataio::GlobalBatch(const dataio::Position&)> order_of_samples(
    const config::RunConfig& config, const catalog::Modalities& modalities, const dataio::Dataset& data,
    std::int64_t rows_per_step) {
  const dataio::Sampler sampler(data.size(), rows_per_step, config.data.shuffle, config.seed);
  if (config.batch.packing != config::Packing::first_fit)
    return [sampler](const dataio::Position& position) { return sampler.at(position); };
  const auto measure = [&data, &modalities,
                        workers = config.data.num_workers](const std::vector<std::int64_t>& samples) {
    std::vector<dataio::Load> out(samples.size());
    parallel_for(samples.size(), workers,
                 [&](std::size_t i) { out[i] = load_of(data, modalities, samples[i]); });
    return out;
  };
  const auto packer = std::make_shared<dataio::Packer>(
      sampler, dataio::PackedShape{config.batch.sequence_length, rows_per_step}, config.seed, measure);
  return [packer](const dataio::Position& position) { return packer->at(position); };
}

}  // namespace cornstarch::train
