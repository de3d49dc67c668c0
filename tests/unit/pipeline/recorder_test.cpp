#include "cornstarch/pipeline/recorder.h"

#include <chrono>
#include <thread>

#include "catch.h"

using namespace cornstarch;
using telemetry::Activity;

TEST_CASE("what a step measured is there once the next one has begun") {
  pipeline::Recorder recorder(c10::kCPU);
  CHECK(recorder.previous().empty());
  recorder.start();
  recorder.measure("forward", Activity::compute,
                   [] { std::this_thread::sleep_for(std::chrono::milliseconds(3)); });
  recorder.measure("wait", Activity::bubble, [] {});
  CHECK(recorder.previous().empty());
  recorder.start();
  recorder.measure("forward", Activity::compute, [] {});
  const auto spans = recorder.previous();
  REQUIRE(spans.size() == 2);
  CHECK(spans[0].name == "forward");
  CHECK(spans[0].end_s - spans[0].begin_s >= 0.003);
  CHECK(spans[1].activity == Activity::bubble);
  CHECK(spans[1].begin_s >= spans[0].end_s);
  recorder.start();
  CHECK(recorder.previous().size() == 1);
}
