#include "state.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "cornstarch/base/text.h"
#include "cornstarch/models/dtypes.h"

namespace cornstarch::train {
namespace {

constexpr const char* kParameter = "parameter";
constexpr const char* kFirstMoment = "first_moment";
constexpr const char* kSecondMoment = "second_moment";

/// The name of what the LLM's first and last stage share is the first one's.
std::string name_of(const char* kind, const models::Parameter& p) {
  return cat(kind, "/", p.tied_to.empty() ? p.full_name() : p.tied_to);
}

std::string scales_name(const std::string& modality, const std::string& weight) {
  return cat("fp8_scales/", modality, "/", weight);
}

/// Where some of a segment's elements lie.
plan::ShardRange place_of(const pipeline::Segment& s, Range elements) {
  const models::Parameter& p = *s.parameter;
  Range part;
  if (p.split_dim >= 0) part = {p.offset, p.offset + p.value.size(p.split_dim)};
  return {p.spec->shape, p.split_dim, part, {s.begin + elements.begin, s.begin + elements.end}};
}

const at::Tensor& precise(const pipeline::Segment& s) { return s.master.defined() ? s.master : s.value; }

void read(checkpoint::Checkpoint& from, const std::string& name, const plan::ShardRange& place,
          const at::Tensor& into) {
  const formats::DType stored = from.tensors().at(name).dtype;
  const auto type = models::scalar_type(stored);
  if (!type)
    throw Failure(ExitCode::bad_data, cat("'", from.path().string(), "': tensor ", name, " has type ",
                                          formats::name_of(stored), ", which is no floating-point type"));
  const at::Tensor host = at::empty({place.elements.size()}, *type);
  value_or_throw(from.read(name, place, {static_cast<std::byte*>(host.mutable_data_ptr()), host.nbytes()}));
  into.copy_(host);
}

}  // namespace

std::vector<StateTensor> state_of(const std::vector<pipeline::Segment>& segments,
                                  const std::vector<optim::Optimizer::Moments>& moments) {
  std::vector<StateTensor> out;
  const auto add = [&](const char* kind, const pipeline::Segment& s, const at::Tensor& value) {
    if (value.defined())
      out.push_back(
          {{name_of(kind, *s.parameter), models::file_type(value.scalar_type()), place_of(s, s.saves)},
           value.detach().narrow(0, s.saves.begin, s.saves.size())});
  };
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const pipeline::Segment& s = segments[i];
    if (s.saves.size() == 0) continue;
    add(kParameter, s, precise(s));
    add(kFirstMoment, s, moments[i].first);
    add(kSecondMoment, s, moments[i].second);
  }
  return out;
}

void restore(checkpoint::Checkpoint& from, const std::vector<pipeline::Segment>& segments,
             const std::vector<optim::Optimizer::Moments>& moments) {
  const at::NoGradGuard no_grad;
  const auto take = [&](const char* kind, const pipeline::Segment& s, const at::Tensor& into) {
    if (!into.defined()) return;
    const std::string name = name_of(kind, *s.parameter);
    if (from.tensors().count(name) > 0) {
      read(from, name, place_of(s, {0, s.value.numel()}), into);
    } else if (kind != kParameter) {
      into.zero_();
    }
  };
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const pipeline::Segment& s = segments[i];
    take(kParameter, s, precise(s));
    if (s.master.defined()) s.value.copy_(s.master);
    take(kFirstMoment, s, moments[i].first);
    take(kSecondMoment, s, moments[i].second);
  }
}

std::vector<StateTensor> state_of(const std::string& modality, const nn::Fp8Scales& scales) {
  std::vector<StateTensor> out;
  for (std::size_t i = 0; i < scales.weights().size(); ++i) {
    const at::Tensor value = scales.scales()[static_cast<std::int64_t>(i)];
    out.push_back(
        {{scales_name(modality, scales.weights()[i]), formats::DType::f32, plan::whole({value.numel()})},
         value});
  }
  return out;
}

void restore(checkpoint::Checkpoint& from, const std::string& modality, nn::Fp8Scales& scales) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < scales.weights().size(); ++i) {
    const at::Tensor into = scales.scales()[static_cast<std::int64_t>(i)];
    const std::string name = scales_name(modality, scales.weights()[i]);
    into.zero_();
    if (from.tensors().count(name) > 0) read(from, name, plan::whole({into.numel()}), into);
  }
  scales.changed();
}

}  // namespace cornstarch::train
