#include "cornstarch/control/culprit.h"

#include <nlohmann/json.hpp>

#include "catch.h"
#include "state_json.h"

using namespace cornstarch;
using namespace cornstarch::control;

namespace {

constexpr const char* kSum = "all_reduce sum (512 fp32)";
const std::vector<int> kAll{0, 1, 2, 3};

Calls calls(const std::vector<std::string>& whats, long long first = 0) {
  Calls out{"world", kAll, true, {}};
  for (const std::string& what : whats) out.last.push_back({first++, what});
  return out;
}

Wait wait_in_world(std::vector<int> ranks, long long index) {
  return {std::move(ranks), std::string(kSum) + " as #" + std::to_string(index) + " of 'world'", "world",
          index, 1.5};
}

RankState waiting(std::vector<int> ranks, long long index) {
  return {7,
          "training",
          wait_in_world(std::move(ranks), index),
          {calls(std::vector<std::string>(index + 1, kSum))},
          ""};
}

RankState elsewhere(long long begun, int step = 7) {
  return {step, "training", std::nullopt, {calls(std::vector<std::string>(begun, kSum))}, ""};
}

}  // namespace

TEST_CASE("whoever does not answer is to blame, not who complains") {
  const auto found =
      find_culprit({{0, waiting({1, 2, 3}, 1)}, {1, waiting({0, 2, 3}, 1)}, {3, waiting({2}, 1)}},
                   {1, wait_in_world({0, 2, 3}, 1), "rank 1 waited"});
  CHECK(found.rank == 2);
  CHECK(found.code == 76);
  CHECK(found.cause ==
        "rank 0 waited 1.5 s for it: all_reduce sum (512 fp32) as #1 of 'world'; it does not answer "
        "(stopped, or its "
        "host is gone)");
  CHECK(found.op == "all_reduce sum (512 fp32) as #1 of 'world'");
}

TEST_CASE("whoever complains has answered, whatever became of its other messages") {
  const auto found = find_culprit({{2, elsewhere(0, 6)}}, {1, wait_in_world({2}, 0), ""});
  CHECK(found.rank == 2);
  CHECK(found.step == 6);
}

TEST_CASE("the chain of those who wait ends at who is in no operation") {
  RankState one{
      7, "training", Wait{{2}, "receive of 'gradients' (4 fp32), tag 1", "", -1, 0.7}, {calls({})}, ""};
  const auto found =
      find_culprit({{0, waiting({1, 2, 3}, 0)}, {1, one}, {2, elsewhere(0, 6)}, {3, waiting({1}, 0)}},
                   {3, wait_in_world({1}, 0), ""});
  CHECK(found.rank == 2);
  CHECK(found.step == 6);
  CHECK(found.cause.substr(found.cause.find("; ")) == "; it is in no operation with others (training)");
}

TEST_CASE("who called something else than its group did") {
  RankState odd = waiting({0}, 1);
  odd.calls = {calls({kSum, "broadcast (4 fp32)"})};
  const auto found =
      find_culprit({{0, waiting({3}, 1)}, {1, waiting({3}, 1)}, {2, odd}, {3, waiting({0}, 1)}},
                   {0, {}, "rank 0 expected 2048 bytes of rank 2, which sent 16"});
  CHECK(found.rank == 2);
  CHECK(found.cause ==
        "called broadcast (4 fp32) as #1 of 'world', where ranks 0, 1, 3 called all_reduce sum (512 fp32)");
  CHECK(found.op == "broadcast (4 fp32) as #1 of 'world'");
  CHECK(found.step == 7);
}

TEST_CASE("of two that disagree, the one that did something unusual, or is ahead, or did not complain") {
  const auto rank_of = [](RankState one, RankState two) {
    one.calls = {calls({"a"})};
    two.calls = {calls({"b"})};
    return find_culprit({{0, one}, {1, two}}, {0, {}, ""}).rank;
  };
  RankState usual = elsewhere(0), unusual = elsewhere(0);
  unusual.left_out = "c of 'world'";
  CHECK(rank_of(unusual, usual) == 0);
  CHECK(rank_of(usual, unusual) == 1);
  CHECK(rank_of(elsewhere(0, 8), elsewhere(0, 7)) == 0);
  CHECK(rank_of(usual, usual) == 1);
}

TEST_CASE("in a circle: who has left something out, else for whom most wait") {
  std::map<int, RankState> states{
      {0, waiting({1}, 2)}, {1, waiting({0}, 2)}, {2, waiting({0}, 2)}, {3, waiting({0}, 2)}};
  for (auto& [_, state] : states) state.wait->group = "";
  const Complaint complaint{3, *states[3].wait, ""};
  CHECK(find_culprit(states, complaint).rank == 0);
  states[1].left_out = "all_reduce sum (32 fp32) of 'tp'";
  const auto found = find_culprit(states, complaint);
  CHECK(found.rank == 1);
  CHECK(found.cause ==
        "rank 0 waited 1.5 s for it: all_reduce sum (512 fp32) as #2 of 'world'; it has left out all_reduce "
        "sum (32 "
        "fp32) of 'tp' and waits itself for rank 0: all_reduce sum (512 fp32) as #2 of 'world'");
}

TEST_CASE("nobody else to blame: the complaint itself") {
  const auto found =
      find_culprit({{0, elsewhere(1)}, {1, elsewhere(1)}}, {1, {}, "rank 1 expected 20 bytes"});
  CHECK(found.rank == 1);
  CHECK(found.cause == "rank 1 expected 20 bytes");
  CHECK(found.step == 7);
}

TEST_CASE("a hang or a failed start is everybody's exit code, a failure its rank's") {
  CHECK(exit_code_of_others({0, 76, "", "", 0, ""}) == ExitCode::protocol);
  CHECK(exit_code_of_others({0, 69, "", "", 0, ""}) == ExitCode::launch);
  CHECK(exit_code_of_others({0, 65, "", "", 0, ""}) == ExitCode::peer_failed);
  CHECK(exit_code_of_others({0, 0, "", "", 0, ""}) == ExitCode::peer_failed);
}

TEST_CASE("the ledger knows the last calls, what is waited for, and what was left out") {
  Ledger ledger;
  const int tp = ledger.add("tp", {0, 1}, true), again = ledger.add("tp", {0, 1}, true);
  const int to = ledger.add("messages to rank 1", {0, 1}, false);
  for (int step = 0; step < 20; ++step) {
    ledger.begin(tp, "a");
    ledger.begin(to, "b");
    ledger.begin(tp, "c");
  }
  ledger.at(21, "training");
  CHECK(ledger.state().left_out.empty());
  ledger.begin(tp, "a");
  ledger.begin(tp, "c");
  ledger.waits([] { return Wait{{1}, "c", "tp", 41, 0.5}; });
  const RankState state = ledger.state();
  CHECK(state.step == 21);
  CHECK(state.wait->ranks == std::vector<int>{1});
  CHECK(state.left_out == "b of 'messages to rank 1'");
  REQUIRE(state.calls.size() == 2);
  CHECK(state.calls[0].group == "tp");
  CHECK(state.calls[0].last.size() == 16);
  CHECK(state.calls[0].last.back().index == 41);
  CHECK(state.calls[1].last.back().index == 19);
  CHECK_FALSE(state.calls[1].collective);
  ledger.done();
  ledger.begin(again, "a");
  CHECK_FALSE(ledger.state().wait);
  CHECK(ledger.state().calls[0].group == "tp (2)");
}

TEST_CASE("groups of one name are told apart by their ranks and their order") {
  std::deque<Ledger> ledgers(3);
  std::map<int, RankState> states;
  for (int rank = 0; rank < 3; ++rank) {
    Ledger& ledger = ledgers[static_cast<std::size_t>(rank)];
    CHECK(ledger.name(ledger.add("tp of stage 10", {0, 1, 2}, true)) == "tp of stage 10");
    const int first = ledger.add("tp of stage 1", {0, 1, 2}, true);
    const int second = ledger.add("tp of stage 1", {0, 1, 2}, true);
    CHECK(ledger.name(first) == "tp of stage 1");
    CHECK(ledger.name(second) == "tp of stage 1 (2)");
    ledger.begin(first, kSum);
    if (rank != 2) ledger.begin(second, kSum);
    const Wait wait{{1, 2}, "op", ledger.name(second), 0, 1};
    if (rank == 0) ledger.waits([wait] { return Wait(wait); });
    states[rank] = ledger.state();
  }
  // Rank 1 computes what it will wait for later; rank 2 has not begun it.
  CHECK(find_culprit(states, {0, *states[0].wait, ""}).rank == 2);
}

TEST_CASE("a state fits a message, however many wait") {
  RankState state = waiting({}, 3);
  for (int rank = 0; rank < 9'000; ++rank) state.wait->ranks.push_back(rank);
  state.calls[0].ranks = state.wait->ranks;
  CHECK(text_of(to_json(state)).size() < (60 << 10));
  CHECK(state_in(to_json(state)).wait->ranks == state.wait->ranks);
}

TEST_CASE("FAILURE.json holds the line's parts and what ranks were at") {
  const auto json = nlohmann::json::parse(
      failure_report({2, 76, "n1", "cause", 7, "op"}, {{0, waiting({2}, 1)}, {2, elsewhere(1)}}));
  CHECK(json["rank"] == 2);
  CHECK(json["host"] == "n1");
  CHECK(json["code"] == 76);
  CHECK(json["step"] == 7);
  CHECK(json["op"] == "op");
  CHECK(json["msg"] == "cause");
  REQUIRE(json["ranks"].size() == 2);
  CHECK(json["ranks"][0]["waits"]["for"] == std::vector<int>{2});
  CHECK(json["ranks"][0]["calls"][0]["last"] == std::vector<std::string>{kSum, kSum});
  CHECK_FALSE(json["ranks"][1].contains("waits"));
}
