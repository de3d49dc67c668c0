#include "cornstarch/pipeline/recorder.h"

#include <c10/core/Event.h>

#include <array>
#include <utility>

#include "cornstarch/base/wall_time.h"

namespace cornstarch::pipeline {
namespace {

c10::Event timed_event(c10::Device device) { return {device.type(), c10::EventFlag::BACKEND_DEFAULT}; }

void record(c10::Event& event, c10::Device device) {
  const c10::impl::VirtualGuardImpl backend(device.type());
  event.record(backend.getStream(device));
}

/// An event and when it was. Events tell the time between two of them only, with seven digits.
struct Zero {
  c10::Event event;
  double at_s = 0;

  explicit Zero(c10::Device device) : event(timed_event(device)) {
    if (device.is_cpu()) return;
    record(event, device);
    event.synchronize();
    at_s = wall_time_s();
  }
};

/// Points in time: of the clock, or on a GPU as events, which are kept for the next steps.
class Moments {
 public:
  explicit Moments(c10::Device device) : device_(device) {}

  void add() {
    if (device_.is_cpu()) {
      clock_.push_back(wall_time_s());
    } else {
      if (used_ == events_.size()) events_.push_back(timed_event(device_));
      record(events_[used_], device_);
    }
    ++used_;
  }

  std::size_t size() const { return used_; }

  double at(std::size_t i, const Zero& zero) const {
    if (device_.is_cpu()) return clock_[i];
    events_[i].synchronize();
    return zero.at_s + zero.event.elapsedTime(events_[i]) / 1e3;
  }

  /// Makes room for a step, and the first of these moments `zero`, if it has passed.
  void clear(Zero& zero) {
    if (!device_.is_cpu() && used_ > 0 && events_[0].query()) {
      zero.at_s = at(0, zero);
      std::swap(zero.event, events_[0]);
    }
    clock_.clear();
    used_ = 0;
  }

 private:
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
  Zero zero;
  std::array<Step, 2> steps;
  int current = 0;

  explicit Impl(c10::Device device)
      : zero(device), steps{Step{Moments(device), {}}, Step{Moments(device), {}}} {}
  Step& step() { return steps[static_cast<std::size_t>(current)]; }
  const Step& other() const { return steps[static_cast<std::size_t>(1 - current)]; }
};

Recorder::Recorder(c10::Device device) : impl_(std::make_unique<Impl>(device)) {}
Recorder::~Recorder() = default;

void Recorder::start() {
  impl_->current = 1 - impl_->current;
  impl_->step().moments.clear(impl_->zero);
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
    spans.push_back({m.name, m.activity, step.moments.at(m.begin, impl_->zero),
                     step.moments.at(m.begin + 1, impl_->zero)});
  return spans;
}

const c10::Event& Recorder::zero() const { return impl_->zero.event; }
double Recorder::zero_s() const { return impl_->zero.at_s; }

}  // namespace cornstarch::pipeline
