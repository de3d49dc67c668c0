#include "cornstarch/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::generate {
namespace {

/// Up to a common factor.
std::vector<double> likelihoods(std::span<const double> logits, double temperature) {
  const double most = *std::max_element(logits.begin(), logits.end());
  std::vector<double> out;
  out.reserve(logits.size());
  for (const double logit : logits) out.push_back(std::exp((logit - most) / temperature));
  return out;
}

/// The likeliest tokens, in this order, the first of equals first; all of them for a `share` of 1.
std::vector<std::int64_t> nucleus(const std::vector<double>& weights, double share) {
  std::vector<std::int64_t> ids(weights.size());
  std::iota(ids.begin(), ids.end(), 0);
  if (share >= 1) return ids;
  const auto weight = [&](std::int64_t id) { return weights[static_cast<std::size_t>(id)]; };
  std::stable_sort(ids.begin(), ids.end(),
                   [&](std::int64_t a, std::int64_t b) { return weight(a) > weight(b); });
  const double wanted = share * std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  std::size_t n = 0;
  while (n < ids.size() && (n == 0 || sum < wanted)) sum += weight(ids[n++]);
  ids.resize(n);
  return ids;
}

}  // namespace

std::int64_t Sampler::next(std::span<const double> logits) {
  const auto largest = std::max_element(logits.begin(), logits.end());
  const bool numbers = std::none_of(logits.begin(), logits.end(), [](double x) { return std::isnan(x); });
  if (!numbers || !std::isfinite(*largest))
    throw Failure(ExitCode::numerics, "the model's logits are no numbers",
                  "its weights may be broken; or another --precision may have room for its activations");
  if (sampling_.temperature <= 0) return largest - logits.begin();
  const std::vector<double> weights = likelihoods(logits, sampling_.temperature);
  const std::vector<std::int64_t> ids = nucleus(weights, sampling_.top_p);
  const auto weight = [&](std::int64_t id) { return weights[static_cast<std::size_t>(id)]; };
  double sum = 0;
  for (const std::int64_t id : ids) sum += weight(id);
  double left = philox_.uniform(draws_++) * sum;
  for (const std::int64_t id : ids)
    if ((left -= weight(id)) < 0) return id;
  return *std::find_if(ids.rbegin(), ids.rend(), [&](std::int64_t id) { return weight(id) > 0; });
}

}  // namespace cornstarch::generate
