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

TEST_CASE("Transfers have a thread of their own, and another one for each that overlaps") {
  const RankTimeline rank{2,
                          "llm stage 0",
                          {{"backward", Activity::compute, 10, 14},
                           {"send to rank 3", Activity::transfer, 11, 13},
                           {"all_reduce", Activity::transfer, 10, 12},
                           {"send to rank 3", Activity::transfer, 12, 13.5}}};
  const auto events = nlohmann::json::parse(to_chrome_trace({rank}))["traceEvents"];
  std::vector<std::string> transfers;
  for (std::size_t i = 5; i < events.size(); ++i)
    transfers.push_back(events[i]["tid"].dump() + " " + events[i]["name"].get<std::string>() + " " +
                        events[i].value("ts", nlohmann::json()).dump() + " " + events[i].value("cat", ""));
  CHECK(transfers == std::vector<std::string>{"3 thread_name null ", "3 all_reduce 0.0 transfer",
                                              "4 thread_name null ", "4 send to rank 3 1000000.0 transfer",
                                              "3 send to rank 3 2000000.0 transfer"});
}

TEST_CASE("The moments at which a host waits are instants of its process") {
  const RankTimeline rank{
      2,
      "llm stage 0",
      {{"forward", Activity::compute, 10, 14}, {"the host waits", Activity::host_wait, 12, 12}}};
  const auto events = nlohmann::json::parse(to_chrome_trace({rank}))["traceEvents"];
  CHECK(events.back().dump() ==
        R"({"cat":"host_wait","name":"the host waits","ph":"i","pid":2,"s":"p","tid":0,"ts":2000000.0})");
  CHECK(shares_of(rank.spans).compute == 4);
}

TEST_CASE("A trace without spans is one") {
  CHECK(nlohmann::json::parse(to_chrome_trace({}))["traceEvents"].empty());
}

TEST_CASE("The shares of a rank's time are summed by activity") {
  std::vector<Span> spans = two_ranks[1].spans;
  spans.push_back({"all_reduce", Activity::transfer, 100, 102});  // beside the others
  const TimeShares shares = shares_of(spans);
  CHECK(shares.compute == 0);
  CHECK(shares.bubble == 0.5);
  CHECK(shares.communication == 0.5);
}
