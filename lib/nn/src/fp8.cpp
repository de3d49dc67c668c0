#include "cornstarch/nn/fp8.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <utility>

namespace cornstarch::nn {
namespace {

constexpr std::int64_t kRoles = 3;
constexpr std::int64_t kApart = 4;  // cuBLASLt takes inverses at multiples of 16 bytes only

// The powers of two that bring values in fp32, of which the largest are given, to at most half of e4m3's
// largest. Bits are read and made, since a logarithm may be off by a digit.
at::Tensor powers_for(const at::Tensor& largest) {
  constexpr std::int64_t digits = 23, bias = 127;
  const at::Tensor bits = largest.view(at::kInt);
  const at::Tensor exponent = bits.bitwise_right_shift(digits) - bias;
  const at::Tensor above = bits.bitwise_and((1 << digits) - 1) > (3 << (digits - 2));  // 448 = 1.75 x 2^8
  const at::Tensor power = (7 - exponent - above.to(at::kInt)).clamp_(-126, 126);
  return (power + bias).bitwise_left_shift(digits).view(at::kFloat);
}

}  // namespace

std::int64_t Fp8Scales::add(std::string weight) {
  weights_.push_back(std::move(weight));
  return std::ssize(weights_) - 1;
}

void Fp8Scales::place(at::Device device, bool weights_stay) {
  const auto layers = std::ssize(weights_);
  const at::TensorOptions numbers = at::TensorOptions(device).dtype(at::kFloat);
  for (at::Tensor* each : {&largest_, &scales_}) *each = at::zeros({layers, kRoles}, numbers);
  inverses_ = at::zeros({layers, kRoles, kApart}, numbers).select(2, 0);
  for (std::int64_t layer = 0; layer < layers; ++layer)
    for (std::int64_t role = 0; role < kRoles; ++role)
      sites_.push_back({largest_[layer][role], scales_[layer][role], inverses_[layer][role]});
  known_.assign(sites_.size(), false);
  looked_ = true;
  weights_stay_ = weights_stay;
  kept_.resize(weights_.size());
}

void Fp8Scales::begin_step() {
  largest_.zero_();
  for (Fp8Matrix& each : kept_) each = {};
}

void Fp8Scales::agree(const std::vector<comm::GroupPtr>& groups, const at::Tensor& sound) {
  if (weights_.empty()) return;
  const at::NoGradGuard no_grad;
  for (const comm::GroupPtr& group : groups)
    if (group->size() > 1) group->all_reduce(largest_, comm::Reduce::max);
  const at::Tensor good = (largest_ > 0).logical_and_(at::isfinite(largest_)).logical_and_(sound);
  scales_.copy_(at::where(good, powers_for(largest_), scales_));
  changed();
}

void Fp8Scales::changed() {
  const at::NoGradGuard no_grad;
  inverses_.copy_(at::where(scales_ > 0, scales_.reciprocal(), scales_));
  looked_ = false;
  for (Fp8Matrix& each : kept_) each = {};
}

const Fp8Scales::Site& Fp8Scales::site(std::int64_t layer, Role role) const {
  return sites_[static_cast<std::size_t>(layer * kRoles + static_cast<std::int64_t>(role))];
}

bool Fp8Scales::known(std::int64_t layer, Role role) {
  const auto at = static_cast<std::size_t>(layer * kRoles + static_cast<std::int64_t>(role));
  if (known_[at] || looked_) return known_[at];
  looked_ = true;
  const at::Tensor host = scales_.to(at::kCPU).view(-1);
  const float* scale = host.const_data_ptr<float>();
  for (std::size_t i = 0; i < known_.size(); ++i) known_[i] = scale[i] > 0;
  return known_[at];
}

Fp8Matrix* Fp8Scales::kept(std::int64_t layer) {
  return weights_stay_ ? &kept_[static_cast<std::size_t>(layer)] : nullptr;
}

}  // namespace cornstarch::nn
