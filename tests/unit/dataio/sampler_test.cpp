#include "cornstarch/dataio/sampler.h"

#include <algorithm>

#include "catch.h"
#include "cornstarch/base/random.h"
#include "cornstarch/base/result.h"

using cornstarch::dataio::Sampler;
using Samples = std::vector<std::int64_t>;

TEST_CASE("without shuffling the samples follow one another, across epochs") {
  const Sampler sampler(5, 3, false, 7);
  CHECK(sampler.global_batch(0) == Samples{0, 1, 2});
  CHECK(sampler.global_batch(1) == Samples{3, 4, 0});
  CHECK(sampler.global_batch(2) == Samples{1, 2, 3});
  CHECK(sampler.global_batch(1'000'000) == Samples{0, 1, 2});
  CHECK(Sampler(2, 5, false, 7).global_batch(0) == Samples{0, 1, 0, 1, 0});
}

TEST_CASE("shuffled epochs are permutations by seed and epoch, whatever the batch and the order of asking") {
  const std::int64_t size = 11;
  Samples expected;
  for (std::uint64_t epoch = 0; epoch < 4; ++epoch) {
    const Samples order = cornstarch::permutation(size, 42, epoch);
    expected.insert(expected.end(), order.begin(), order.end());
  }
  for (const std::int64_t batch : {1, 4, 11, 22}) {
    const Sampler sampler(size, batch, true, 42);
    for (std::int64_t step = 44 / batch - 1; step >= 0; --step) {
      const auto from = expected.begin() + step * batch;
      CHECK(sampler.global_batch(step) == Samples(from, from + batch));
    }
  }
  CHECK(Sampler(size, 11, true, 43).global_batch(0) != Sampler(size, 11, true, 42).global_batch(0));
}

TEST_CASE("a sampler of nothing is a mistake") {
  CHECK_THROWS_WITH(Sampler(0, 4, true, 1), "a sampler of 0 samples in batches of 4");
  CHECK_THROWS_WITH(Sampler(4, 0, true, 1), "a sampler of 4 samples in batches of 0");
}
