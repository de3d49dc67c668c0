#include "cornstarch/plan/plan.h"

#include "catch.h"
#include "plan_fixture.h"

using namespace cornstarch;
using namespace cornstarch::plan;
using test::encoder;
using test::llm;
using test::plan_of;

namespace {
using Ranks = std::vector<int>;
using Lists = std::vector<std::vector<int>>;

Lists groups_of(const Plan& plan, Purpose purpose) {
  Lists out;
  for (const Group& group : plan.groups)
    if (group.purpose == purpose) out.push_back(group.ranks);
  return out;
}
}  // namespace

TEST_CASE("ranks are numbered by modality, stage, dp, cp, tp") {
  // Two encoder stages of tp 2 before two LLM stages of tp 4: 12 ranks a replica, 24 make two.
  const Plan plan = plan_of({encoder("vision", 2, 2), llm(2, 4)}, 24);
  CHECK(plan.ranks_per_replica == 12);
  CHECK(plan.dp == 2);
  CHECK(plan.rank_of(0, 0, 0, 0) == 0);
  CHECK(plan.rank_of(1, 0, 0, 1) == 3);
  CHECK(plan.rank_of(0, 2, 0, 0) == 8);
  CHECK(plan.rank_of(1, 3, 0, 3) == 23);
  CHECK(groups_of(plan, Purpose::gradients) == Lists{{0, 2},
                                                     {1, 3},
                                                     {4, 6},
                                                     {5, 7},
                                                     {8, 12},
                                                     {9, 13},
                                                     {10, 14},
                                                     {11, 15},
                                                     {16, 20},
                                                     {17, 21},
                                                     {18, 22},
                                                     {19, 23}});
  CHECK(groups_of(plan, Purpose::tensor).front() == Ranks{0, 1});
  CHECK(groups_of(plan, Purpose::tensor).back() == Ranks{20, 21, 22, 23});
}

TEST_CASE("groups beyond a stage: shards over tp, tied embeddings, the world") {
  catalog::Modality m = llm(2, 2);
  m.tp_sequence_parallel = true;
  for (auto& module : m.spec.modules) module.body = catalog::BlockSpec{};
  catalog::ParamSpec head = m.spec.modules.front().params.front();
  head.tied_to = head.name;
  head.name = "head.weight";
  m.spec.modules.back().params.push_back(head);
  const Plan plan = plan_of({m}, 8);
  CHECK(groups_of(plan, Purpose::shards) == Lists{{0, 1, 2, 3}, {4, 5, 6, 7}});
  CHECK(groups_of(plan, Purpose::tied) == Lists{{0, 2, 4, 6}, {1, 3, 5, 7}});
  CHECK(groups_of(plan, Purpose::world) == Lists{{0, 1, 2, 3, 4, 5, 6, 7}});
  std::vector<std::string> names;
  for (const Group& group : plan.groups)
    if (std::count(group.ranks.begin(), group.ranks.end(), 5) > 0) names.push_back(plan.group_name(group));
  CHECK(names == std::vector<std::string>{"tp of llm stage 1", "sp of llm stage 1", "sp x tp of llm stage 1",
                                          "dp x sp of llm stage 1", "tp x dp x sp of llm stage 1",
                                          "tied embeddings of llm", "world"});
  m.tp_sequence_parallel = false;
  CHECK(groups_of(plan_of({m}, 8), Purpose::shards).empty());
}

TEST_CASE("neighbours in the forward direction") {
  const Plan plan = plan_of({encoder("vision", 2, 2), llm(2, 4)}, 24);
  CHECK(plan.ranks[4].receives_from == Ranks{0});
  CHECK(plan.ranks[4].sends_to == Ranks{8, 9});
  CHECK(plan.ranks[5].sends_to == Ranks{10, 11});
  CHECK(plan.ranks[8].receives_from == Ranks{4});
  CHECK(plan.ranks[10].sends_to == Ranks{18});
  CHECK(plan.ranks[0].receives_from.empty());
  CHECK(plan.ranks[23].sends_to.empty());
}

TEST_CASE("two encoders feed the same LLM ranks") {
  const Plan plan = plan_of({encoder("vision", 2, 2), encoder("audio", 3, 2), llm(2, 4)}, 18);
  CHECK(plan.ranks[2].sends_to == Ranks{10, 11});
  CHECK(plan.ranks[8].receives_from == Ranks{6});
  CHECK(plan.ranks[8].sends_to == Ranks{10, 11});
  CHECK(plan.ranks[10].receives_from == Ranks{2, 8});
  CHECK(plan.ranks[12].receives_from == Ranks{3, 9});
  CHECK(plan.ranks[14].sends_to.empty());
}

TEST_CASE("context-parallel LLM ranks all hear from the encoder") {
  const Plan plan = plan_of({encoder("vision", 2, 2), llm(2, 4, 2)}, 40);
  CHECK(plan.dp == 2);
  CHECK(plan.ranks[4].sends_to == Ranks{8, 9, 12, 13});
  CHECK(plan.ranks[12].receives_from == Ranks{4});
  CHECK(plan.ranks[12].sends_to == Ranks{28});
  CHECK(groups_of(plan, Purpose::context)[8] == Ranks{8, 12});
  CHECK(groups_of(plan, Purpose::gradients) == Lists{{0, 2},
                                                     {1, 3},
                                                     {4, 6},
                                                     {5, 7},
                                                     {8, 12, 16, 20},
                                                     {9, 13, 17, 21},
                                                     {10, 14, 18, 22},
                                                     {11, 15, 19, 23},
                                                     {24, 28, 32, 36},
                                                     {25, 29, 33, 37},
                                                     {26, 30, 34, 38},
                                                     {27, 31, 35, 39}});
}

TEST_CASE("an encoder wider than the LLM") {
  const Plan plan = plan_of({encoder("vision", 3, 4), llm(4, 2, 4)}, 44);
  CHECK(plan.ranks[8].sends_to == Ranks{12, 14, 16, 18});
  CHECK(plan.ranks[10].sends_to == Ranks{13, 15, 17, 19});
  CHECK(plan.ranks[12].receives_from == Ranks{8, 9});
  CHECK(plan.ranks[13].receives_from == Ranks{10, 11});
  CHECK(plan.ranks[36].receives_from == Ranks{28});
}

TEST_CASE("slices cover the rows once, for any pair of sizes") {
  for (int own = 1; own <= 6; ++own)
    for (int other = 1; other <= 6; ++other)
      for (int t = 0; t < own; ++t) {
        const auto slices = sources(own, t, other);
        REQUIRE(!slices.empty());
        for (std::size_t i = 0; i < slices.size(); ++i) {
          CHECK(slices[i].index == static_cast<int>(i));
          CHECK(slices[i].parts == static_cast<int>(slices.size()));
          const auto back = destinations(other, slices[i].peer_tp, own);
          CHECK(std::count(back.begin(), back.end(), Slice{t, slices[i].index, slices[i].parts}) == 1);
        }
      }
  CHECK(sources(3, 1, 2) == std::vector<Slice>{{0, 0, 2}, {1, 1, 2}});
}

TEST_CASE("a world size that does not fit names the ones that do") {
  const auto modalities = test::modalities({encoder("vision", 1, 2), llm(2, 4, 2)});
  const auto config = test::config();
  const auto failed = [&](int world) {
    const auto plan = make_plan(config, modalities, world);
    REQUIRE(!plan);
    CHECK(plan.error().code == ExitCode::infeasible);
    return plan.error().message + "; " + plan.error().help;
  };
  CHECK(failed(20) == "world size 20 is not a multiple of the 18 ranks of one replica; start 18 or 36 ranks");
  CHECK(failed(1) ==
        "world size 1 is not a multiple of the 18 ranks of one replica; start 18 ranks, or pass --layout "
        "single to "
        "train on one rank");
}

TEST_CASE("the batch must divide over the replicas") {
  const auto modalities = test::modalities({llm(1, 1)});
  auto config = test::config();
  config.batch.num_microbatches.reset();
  config.batch.global_size = 32;
  config.batch.microbatch_size = 2;
  const auto plan = make_plan(config, modalities, 4);
  REQUIRE(plan);
  CHECK(plan->num_microbatches == 4);
  const auto bad = make_plan(config, modalities, 3);
  REQUIRE(!bad);
  CHECK(bad.error().message == "batch.global_size 32 does not divide into 3 replicas x microbatch_size 2");
  CHECK(bad.error().help == "use a multiple of 6: 30 or 36");
}

TEST_CASE("layout single: every rank is a replica with every stage") {
  auto config = test::config();
  config.layout = config::Layout::single;
  const auto plan = make_plan(config, test::modalities({encoder("vision", 2, 2), llm(2, 4)}), 3);
  REQUIRE(plan);
  CHECK(plan->ranks_per_replica == 1);
  CHECK(plan->dp == 3);
  CHECK(plan->stages.size() == 2);
  CHECK(plan->ranks[1].parts == std::vector<Part>{{0, 0, 0, 0}, {1, 1, 0, 0}});
  CHECK(groups_of(*plan, Purpose::gradients) == Lists{{0, 1, 2}, {0, 1, 2}});
  CHECK(plan->ranks[1].sends_to.empty());
}

TEST_CASE("gradients flow only to what trains") {
  const auto flags = [](const Plan& plan) {
    std::string out;
    for (const StagePlan& s : plan.stages) out += s.trains ? 'T' : s.input_grad ? 'p' : '-';
    for (const Seam& s : plan.seams) out += s.carries_grad ? '1' : '0';
    return out;
  };
  // Encoder of two stages (the projector in the second), LLM of two.
  CHECK(flags(plan_of({encoder("vision", 2, 1), llm(2, 1)}, 4)) == "TTTT111");
  CHECK(flags(plan_of({encoder("vision", 2, 1, 1, false, true), llm(2, 1, 1, false)}, 4)) == "-Tpp011");
  CHECK(flags(plan_of({encoder("vision", 2, 1, 1, false, false), llm(2, 1)}, 4)) == "--TT001");
  CHECK(flags(plan_of({encoder("vision", 2, 1, 1, true, false), llm(2, 1, 1, false)}, 4)) == "TTpp111");
}
