#include "cornstarch/dataio/packing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "catch.h"
#include "cornstarch/base/random.h"

using namespace cornstarch;
using dataio::Load, dataio::Packed, dataio::PackedShape, dataio::Packer, dataio::Position, dataio::Sampler;

namespace {

constexpr std::int64_t kLength = 4096;

/// A skewed set: texts of a few tokens to a few thousand (of 180 at the median), three in five with a picture
/// of 576 tokens that costs as much as 2,000, one in twelve with four of them.
Load skewed(std::int64_t sample) {
  const Philox draws(static_cast<std::uint64_t>(sample), "skewed");
  const int pictures = draws.uniform(2) < 0.6 ? (draws.uniform(3) < 0.08 ? 4 : 1) : 0;
  const double text = 180 * std::exp(draws.normal(0));
  const auto tokens = std::min<std::int64_t>(kLength, 8 + static_cast<std::int64_t>(text) + 576 * pictures);
  const auto length = static_cast<double>(tokens);
  return {tokens, length + length * length / 40000 + 2000.0 * pictures};
}

std::vector<Load> all_skewed(const std::vector<std::int64_t>& samples) {
  std::vector<Load> out;
  for (const std::int64_t sample : samples) out.push_back(skewed(sample));
  return out;
}

Packer packer(std::int64_t rows, std::int64_t size = 100'000, std::uint64_t seed = 5) {
  return {Sampler(size, rows, true, seed), {kLength, rows}, seed, all_skewed};
}

std::int64_t at(const dataio::GlobalBatch& batch, std::int64_t place) {
  return batch.samples[static_cast<std::size_t>(place)];
}

/// Costs of the contiguous shares of a step's rows.
std::vector<double> shares(const dataio::GlobalBatch& batch, std::int64_t parts) {
  const std::int64_t rows = std::ssize(batch.rows);
  std::vector<double> out;
  for (std::int64_t part = 0; part < parts; ++part) {
    double& sum = out.emplace_back();
    for (auto i = batch.begin_of(part * rows / parts); i < batch.begin_of((part + 1) * rows / parts); ++i)
      sum += skewed(at(batch, i)).cost;
  }
  return out;
}

}  // namespace

TEST_CASE("rows of a skewed set are full, and replicas cost the same", "[packing]") {
  for (const std::int64_t rows : {4, 12, 16, 64, 96}) {
    Packer packed = packer(rows);
    Position position;
    double worst = 0, dearest = 0, even = 0, tokens = 0;
    const std::int64_t steps = 4000 / rows;
    for (std::int64_t step = 0; step < steps; ++step) {
      const auto batch = packed.at(position);
      REQUIRE(std::ssize(batch.rows) == rows);
      for (std::int64_t row = 0; row < rows; ++row) {
        std::int64_t length = 0;
        for (auto i = batch.begin_of(row); i < batch.begin_of(row + 1); ++i)
          length += skewed(at(batch, i)).tokens;
        REQUIRE(length <= kLength);
        tokens += static_cast<double>(length);
      }
      const auto costs = shares(batch, 4);
      const double mean = std::accumulate(costs.begin(), costs.end(), 0.0) / 4;
      worst = std::max(worst, std::ranges::max(costs) / mean);
      dearest += std::ranges::max(costs);
      even += mean;
      position = batch.after;
    }
    const double fill = tokens / static_cast<double>(steps * rows * kLength);
    CAPTURE(rows, fill, worst, dearest / even);
    CHECK(fill >= 0.99);
    CHECK(dearest / even <= 1.02);
    // Where a replica has a row or two, one that a text fills alone is cheaper than any with pictures.
    if (rows >= 64) CHECK(worst <= 1.02);
  }
}

TEST_CASE("an epoch has every sample once, and a run that goes on has what is left") {
  constexpr std::int64_t kSize = 1500;
  Packer packed = packer(8, kSize);
  std::vector<std::int64_t> taken;
  std::vector<Position> positions = {{}};
  std::vector<dataio::GlobalBatch> batches;
  while (std::ssize(taken) < 3 * kSize || positions.back().steps > 0) {
    batches.push_back(packed.at(positions.back()));
    taken.insert(taken.end(), batches.back().samples.begin(), batches.back().samples.end());
    positions.push_back(batches.back().after);
  }
  // Windows take the run's order without a gap.
  auto order = Sampler(kSize, 1, true, 5).samples(0, std::ssize(taken));
  CHECK(positions.back() == Position{std::ssize(taken), 0});
  std::map<std::int64_t, int> times;
  for (const std::int64_t sample : taken) ++times[sample];
  CHECK(std::ssize(times) == kSize);
  std::ranges::sort(taken);
  std::ranges::sort(order);
  CHECK(taken == order);
  // Whoever begins anywhere finds the same, whatever was asked before.
  for (std::size_t step = 0; step < batches.size(); step += 3) {
    Packer again = packer(8, kSize);
    const auto batch = again.at(positions[step]);
    CHECK(batch.samples == batches[step].samples);
    CHECK(batch.rows == batches[step].rows);
    CHECK(batch.after == batches[step].after);
    CHECK(batch.window == batches[step].window);
  }
  CHECK(packer(8, kSize, 6).at({}).samples != batches[0].samples);
  CHECK(packed.at({0, 8}).samples.empty());  // the window has eight steps
  CHECK(packed.at({0, 8}).window == batches[0].window);
}

TEST_CASE("the first so many samples are taken that fit, the longer ones first, where it costs least") {
  const auto row_of = [](const Packed& packed, std::int64_t sample) {
    for (const auto& row : packed.steps.at(0))
      if (std::ranges::count(row, sample) == 1) return row;
    return Packed::Row{};
  };
  // 64 rows of ten: 60 texts of ten tokens, and then six more, of which the last fits nowhere.
  std::vector<Load> loads(60, Load{10, 10});
  for (const Load& load : {Load{7, 7}, Load{6, 6}, Load{7, 7}, Load{6, 6}, Load{4, 9}, Load{5, 5}})
    loads.push_back(load);
  const auto packed = dataio::pack(loads, {10, 64});
  CHECK(packed.taken == 65);
  for (const std::int64_t alone : {0, 59, 60, 62, 63}) CHECK(row_of(packed, alone) == Packed::Row{alone});
  CHECK(row_of(packed, 61) == Packed::Row{61, 64});
}

TEST_CASE("replicas of any number take even shares of a step's rows") {
  std::vector<Load> loads;
  for (int row = 0; row < 64; ++row) loads.push_back({10, 1.0 + row});
  const auto packed = dataio::pack(loads, {10, 64});
  for (const std::size_t parts : {2, 4, 8, 16, 32}) {
    const std::size_t each = 64 / parts;
    for (std::size_t part = 0; part < parts; ++part) {
      double cost = 0;
      for (std::size_t row = part * each; row < (part + 1) * each; ++row)
        cost += loads[static_cast<std::size_t>(packed.steps.at(0)[row].at(0))].cost;
      CHECK(cost == 32.5 * static_cast<double>(each));
    }
  }
}

TEST_CASE("what cannot be read, or is as long as a row, ends no window") {
  const auto none = [](const std::vector<std::int64_t>& samples) {
    return std::vector<Load>(samples.size());
  };
  Packer unread(Sampler(10, 2, false, 1), {16, 2}, 1, none);
  const auto batch = unread.at({});
  CHECK(std::ssize(batch.samples) == 2 * 16);
  const auto whole = [](const std::vector<std::int64_t>& samples) {
    return std::vector<Load>(samples.size(), Load{1000, 1});
  };
  Packer full(Sampler(10, 2, false, 1), {16, 2}, 1, whole);
  CHECK(full.at({}).samples.size() == 2);
  CHECK_THROWS_WITH(Packer(Sampler(10, 2, false, 1), {0, 2}, 1, none), "a packer of 2 rows of 0 tokens");
}
