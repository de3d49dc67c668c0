#include "tracer.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "cornstarch/base/text.h"

namespace cornstarch::train {
namespace {

using Json = nlohmann::json;

/// The texts of all ranks, in order; on every rank. They travel as whole numbers, which every backend
/// carries.
std::vector<std::string> gather_texts(comm::Group& world, at::Device device, const std::string& own) {
  const auto gather = [&](const at::Tensor& in) {
    const at::Tensor out = at::empty({world.size() * in.numel()}, in.options().device(device));
    world.all_gather(out, in.to(device));
    return out.cpu();
  };
  const auto ranks = static_cast<std::int64_t>(world.size());
  const auto size = static_cast<std::int64_t>(own.size());
  const at::Tensor sizes = gather(at::full({1}, size, at::kLong));
  const auto words = sizes.max().item<std::int64_t>() / 8 + 1;
  const at::Tensor mine = at::empty({words}, at::kLong);
  std::memcpy(mine.mutable_data_ptr(), own.data(), own.size());
  const at::Tensor all = gather(mine);
  std::vector<std::string> texts;
  for (std::int64_t r = 0; r < ranks; ++r) {
    const auto* text = reinterpret_cast<const char*>(all.const_data_ptr<std::int64_t>() + r * words);
    texts.emplace_back(text, static_cast<std::size_t>(sizes.const_data_ptr<std::int64_t>()[r]));
  }
  return texts;
}

std::string pack(const std::vector<telemetry::Span>& spans) {
  Json list = Json::array();
  for (const telemetry::Span& s : spans)
    list.push_back({s.name, static_cast<int>(s.activity), s.begin_s, s.end_s});
  return list.dump();
}

std::vector<telemetry::Span> unpack(const std::string& text) {
  std::vector<telemetry::Span> spans;
  for (const Json& s : Json::parse(text))
    spans.push_back({s[0], static_cast<telemetry::Activity>(s[1].get<int>()), s[2], s[3]});
  return spans;
}

std::string place_of(const plan::Plan& plan, int rank) {
  const plan::RankPlan& r = plan.ranks[static_cast<std::size_t>(rank)];
  if (plan.layout == config::Layout::single) return cat("replica ", r.dp);
  const plan::Part& part = r.parts.front();
  return cat(plan.stage_name(part.stage), ", dp ", r.dp, ", cp ", part.cp, ", tp ", part.tp);
}

}  // namespace

void Tracer::begin(std::int64_t step) {
  take_waits();
  comm_->time_transfers(wants(step));
  if (wants(step)) waits_ = std::make_unique<HostWaits>(device_);
}

void Tracer::take_waits() {
  if (!waits_) return;
  for (const double moment : waits_->moments())
    spans_.push_back({"the host waits", telemetry::Activity::host_wait, moment, moment});
  waits_.reset();
}

void Tracer::add(std::int64_t step, const std::vector<telemetry::Span>& spans,
                 const pipeline::Recorder& recorder) {
  if (wants(step)) spans_.insert(spans_.end(), spans.begin(), spans.end());
  const double zero = recorder.zero_s();
  for (const comm::Transfer& t : comm_->take_transfers(recorder.zero()))
    spans_.push_back({cat(t.name, ", ", human_bytes(static_cast<double>(t.bytes))),
                      telemetry::Activity::transfer, zero + t.begin_s, zero + t.end_s});
}

void Tracer::write(const std::filesystem::path& path) {
  take_waits();
  const auto texts = gather_texts(*comm_->world(), device_, pack(spans_));
  if (comm_->rank() != 0) return;
  std::vector<telemetry::RankTimeline> ranks;
  for (int r = 0; r < comm_->size(); ++r)
    ranks.push_back({r, place_of(plan_, r), unpack(texts[static_cast<std::size_t>(r)])});
  value_or_throw(telemetry::write_chrome_trace(path, ranks));
}

}  // namespace cornstarch::train
