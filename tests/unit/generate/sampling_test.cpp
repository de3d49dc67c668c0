#include "cornstarch/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "catch.h"
#include "cornstarch/base/result.h"

namespace {

using namespace cornstarch;
using generate::Sampler;
using generate::Sampling;

std::vector<double> logits_of(std::uint64_t seed, int n) {
  const Philox philox(seed);
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back(2 * philox.normal(static_cast<std::uint64_t>(i)));
  return out;
}

/// The probabilities that top-p leaves, by trying every set of tokens: the smallest that has `share`, of
/// those the likeliest.
std::vector<double> by_force(const std::vector<double>& logits, double temperature, double share) {
  std::vector<double> p;
  double sum = 0;
  for (const double x : logits) sum += std::exp(x / temperature);
  for (const double x : logits) p.push_back(std::exp(x / temperature) / sum);
  std::size_t fewest = logits.size() + 1;
  double most = 0;
  unsigned best = 0;
  for (unsigned set = 1; set < 1u << logits.size(); ++set) {
    std::size_t size = 0;
    double has = 0;
    for (std::size_t i = 0; i < logits.size(); ++i)
      if ((set >> i & 1u) != 0) has += p[i], ++size;
    if (has < share || size > fewest || (size == fewest && has <= most)) continue;
    fewest = size;
    most = has;
    best = set;
  }
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = (best >> i & 1u) != 0 ? p[i] / most : 0;
  return p;
}

std::vector<std::int64_t> drawn(const std::vector<double>& logits, const Sampling& sampling,
                                const std::string& answer, int n) {
  Sampler sampler(sampling, answer);
  std::vector<std::int64_t> out;
  for (int i = 0; i < n; ++i) out.push_back(sampler.next(logits));
  return out;
}

}  // namespace

TEST_CASE("greedy takes the first of the largest", "[generate][sampling]") {
  CHECK(drawn({1, 3, 2, 3}, {}, "", 3) == std::vector<std::int64_t>{1, 1, 1});
}

TEST_CASE("what is drawn has the probabilities of the likeliest tokens", "[generate][sampling]") {
  constexpr int kDraws = 40000;
  for (const double temperature : {0.5, 1.0, 2.0}) {
    for (const double top_p : {1e-9, 0.3, 0.8, 0.95, 1.0}) {
      CAPTURE(temperature, top_p);
      const auto logits = logits_of(3, 9);
      const auto expected = by_force(logits, temperature, std::min(top_p, 1 - 1e-12));
      std::map<std::int64_t, int> seen;
      for (const auto id : drawn(logits, {temperature, top_p, 5}, "a", kDraws)) ++seen[id];
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const double share = static_cast<double>(seen[static_cast<std::int64_t>(i)]) / kDraws;
        CHECK(std::abs(share - expected[i]) <= 5 * std::sqrt(expected[i] * (1 - expected[i]) / kDraws));
      }
    }
  }
}

TEST_CASE("what is drawn is a function of the seed and of the answer", "[generate][sampling]") {
  const auto logits = logits_of(4, 50);
  const auto first = drawn(logits, {1, 0.9, 7}, "1", 20);
  CHECK(drawn(logits, {1, 0.9, 7}, "1", 20) == first);
  CHECK(drawn(logits, {1, 0.9, 8}, "1", 20) != first);
  CHECK(drawn(logits, {1, 0.9, 7}, "2", 20) != first);
}

TEST_CASE("logits that are no numbers are said to be none", "[generate][sampling]") {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                   kInf = std::numeric_limits<double>::infinity();
  for (const auto& logits : std::vector<std::vector<double>>{{1, kNan}, {1, kInf}, {-kInf, -kInf}})
    for (const double temperature : {0.0, 1.0})
      CHECK_THROWS_WITH(drawn(logits, {temperature, 1, 0}, "", 1), "the model's logits are no numbers");
  CHECK(drawn({-kInf, 1}, {1, 1, 0}, "", 1) == std::vector<std::int64_t>{1});
}
