#include "cornstarch/telemetry/timeline.h"

#include <nlohmann/json.hpp>

#include "catch.h"

using namespace cornstarch::telemetry;

namespace {

const std::vector<RankTimeline> two_ranks = {
    {0, "vision stage 0", {{"forward vision 0, microbatch 0", Activity::compute, 100.5, 100.75}}},
    {3,
     "llm stage 1",
     {{"activations", Activity::bubble, 100.25, 100.75},
      {"gradients \"dp\"", Activity::communication, 101, 101.5}}}};

}  // namespace

TEST_CASE("A trace has a process for each rank and times since the first span") {
  CHECK(to_chrome_trace({two_ranks[1]}) ==
        R"({"displayTimeUnit": "ms", "traceEvents": [
{"name":"process_name","ph":"M","pid":3,"tid":0,"args":{"name":"rank 3: llm stage 1"}},
{"name":"thread_name","ph":"M","pid":3,"tid":0,"args":{"name":"compute"}},
{"name":"thread_name","ph":"M","pid":3,"tid":1,"args":{"name":"bubble"}},
{"name":"thread_name","ph":"M","pid":3,"tid":2,"args":{"name":"communication"}},
{"name":"activations","cat":"bubble","ph":"X","ts":0.0,"dur":500000.0,"pid":3,"tid":1},
{"name":"gradients \"dp\"","cat":"communication","ph":"X","ts":750000.0,"dur":500000.0,"pid":3,"tid":2}
]}
)");
  const auto json = nlohmann::json::parse(to_chrome_trace(two_ranks));
  CHECK(json["traceEvents"].size() == 2 * 4 + 3);
  CHECK(json["traceEvents"][4]["ts"] == 250000.0);  // the other rank began before it
}

TEST_CASE("A trace without spans is one") {
  CHECK(nlohmann::json::parse(to_chrome_trace({}))["traceEvents"].empty());
}

TEST_CASE("The shares of a rank's time are summed by activity") {
  const TimeShares shares = shares_of(two_ranks[1].spans);
  CHECK(shares.compute == 0);
  CHECK(shares.bubble == 0.5);
  CHECK(shares.communication == 0.5);
}
