#include "cornstarch/pipeline/recorder.h"

#include <c10/core/Event.h>

#include <array>
#include <chrono>

namespace cornstarch::pipeline {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Points in time: of the clock, or on a GPU as events, which are kept for the next steps.
class Moments {
 public:
  explicit Moments(c10::Device device) : device_(device) {}

  void clear() { used_ = 0; }

  void add() {
    if (used_ == clock_.size()) grow();
    clock_[used_] = now_s();
    if (!device_.is_cpu()) {
      const c10::impl::VirtualGuardImpl backend(device_.type());
      events_[used_].record(backend.getStream(device_));
    }
    ++used_;
  }

  std::size_t size() const { return used_; }

  /// By the clock of the first moment; a GPU's later ones count from there.
  double at(std::size_t i) const {
    if (device_.is_cpu() || i == 0) return clock_[i];
    events_[i].synchronize();
    return clock_[0] + events_[0].elapsedTime(events_[i]) / 1e3;
  }

 private:
  void grow() {
    clock_.push_back(0);
    if (!device_.is_cpu()) events_.emplace_back(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  }

  c10::Device device_;
  std::size_t used_ = 0;
  std::vector<double> clock_;
  std::vector<c10::Event> events_;
};

struct Measured {
  std::string name;
  telemetry::Activity activity;
  std::size_t begin;  ///< the moment; the next one is its end
};

struct Step {
  Moments moments;
  std::vector<Measured> measured;
};

}  // namespace

struct Recorder::Impl {
  std::array<Step, 2> steps;
  int current = 0;

  explicit Impl(c10::Device device) : steps{Step{Moments(device), {}}, Step{Moments(device), {}}} {}
  Step& step() { return steps[static_cast<std::size_t>(current)]; }
  const Step& other() const { return steps[static_cast<std::size_t>(1 - current)]; }
};

Recorder::Recorder(c10::Device device) : impl_(std::make_unique<Impl>(device)) {}
Recorder::~Recorder() = default;

void Recorder::start() {
  impl_->current = 1 - impl_->current;
  impl_->step().moments.clear();
  impl_->step().measured.clear();
}

void Recorder::begin() { impl_->step().moments.add(); }

void Recorder::end(std::string name, telemetry::Activity activity) {
  Step& step = impl_->step();
  step.moments.add();
  step.measured.push_back({std::move(name), activity, step.moments.size() - 2});
}

std::vector<telemetry::Span> Recorder::previous() const {
  const Step& step = impl_->other();
  std::vector<telemetry::Span> spans;
  for (const Measured& m : step.measured)
    spans.push_back({m.name, m.activity, step.moments.at(m.begin), step.moments.at(m.begin + 1)});
  return spans;
}

}  // namespace cornstarch::pipeline
