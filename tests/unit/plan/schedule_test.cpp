#include "cornstarch/plan/schedule.h"

#include "catch.h"
#include "cornstarch/plan/activity.h"
#include "plan_fixture.h"

using namespace cornstarch;
using namespace cornstarch::plan;
using test::encoder;
using test::llm;
using test::plan_of;

namespace {

/// "F0 F1 B0 ..." of one stage.
std::string compute_of(const Plan& plan, int stage) {
  std::string out;
  for (const Instruction& i : plan.training.of_stage(stage).instructions) {
    if (i.op == Op::forward) out += cat("F", i.microbatch, " ");
    if (i.op == Op::backward) out += cat("B", i.microbatch, " ");
  }
  return out;
}

std::vector<int> peaks(const Plan& plan) {
  std::vector<int> out;
  for (std::size_t s = 0; s < plan.stages.size(); ++s)
    out.push_back(peak_in_flight(plan.training, static_cast<int>(s)));
  return out;
}

}  // namespace

TEST_CASE("1F1B: what a stage keeps alive follows its distance from the loss") {
  CHECK(peaks(plan_of({encoder("vision", 1, 1), llm(3, 1)}, 4)) == std::vector<int>{4, 3, 2, 1});
  CHECK(peaks(plan_of({encoder("a", 1, 1), encoder("b", 2, 1), llm(3, 1)}, 6)) ==
        std::vector<int>{4, 5, 4, 3, 2, 1});
  CHECK(peaks(plan_of({encoder("a", 2, 1), encoder("b", 1, 1), llm(2, 1)}, 5)) ==
        std::vector<int>{4, 3, 3, 2, 1});
}

TEST_CASE("1F1B: the order of one stage") {
  const Plan plan = plan_of({llm(2, 1)}, 2, 3);
  CHECK(compute_of(plan, 0) == "F0 F1 B0 F2 B1 B2 ");
  CHECK(compute_of(plan, 1) == "F0 B0 F1 B1 F2 B2 ");
}

TEST_CASE("fewer microbatches than stages still works") {
  const Plan plan = plan_of({encoder("vision", 3, 1), llm(4, 1)}, 7, 2);
  CHECK(compute_of(plan, 0) == "F0 F1 B0 B1 ");
}

TEST_CASE("a frozen encoder runs forward only and hears nothing back") {
  const Plan plan = plan_of({encoder("vision", 2, 1, 1, false, true), llm(1, 1, 1, false)}, 3, 2);
  CHECK(compute_of(plan, 0) == "F0 F1 ");
  for (const Instruction& i : plan.training.of_stage(0).instructions)
    CHECK((i.op == Op::forward || i.op == Op::send_forward));
  CHECK(compute_of(plan, 2) == "F0 B0 F1 B1 ");
  // The LLM is frozen: nothing to reduce.
  CHECK(plan.training.of_stage(2).instructions.back().op == Op::send_backward);
}

TEST_CASE("the verifier finds broken schedules") {
  const Plan plan = plan_of({llm(2, 1)}, 2, 2);
  const auto broken = [&](auto change) {
    Schedule schedule = plan.training;
    change(schedule);
    const auto result = verify(schedule, plan.stages, plan.seams, 2);
    REQUIRE(!result);
    return result.error().message;
  };
  const auto erase = [](Program& p, Op op, int m) {
    std::erase_if(p.instructions, [&](const Instruction& i) { return i.op == op && i.microbatch == m; });
  };
  CHECK(broken([&](Schedule& s) { erase(s.programs[0], Op::send_forward, 1); }) ==
        "deadlock: receive_backward of stage 0, microbatch 1 waits for a message that is never sent");
  CHECK(broken([&](Schedule& s) { erase(s.programs[0], Op::receive_backward, 1); }) ==
        "microbatch 1 sent over seam 0 is never received");
  CHECK(broken([&](Schedule& s) { erase(s.programs[1], Op::backward, 0); }) ==
        "stage 1 runs backward of microbatch 0 0 times");
  CHECK(broken([&](Schedule& s) {
          std::swap(s.programs[0].instructions[1], s.programs[0].instructions[3]);
        }) == "receive_forward of stage 1, microbatch 0 meets microbatch 1 on seam 0");
}

TEST_CASE("evaluation runs the forwards of training, proven like it") {
  const Plan plan = plan_of({encoder("vision", 1, 1), llm(2, 1)}, 3, 3);
  for (const Program& program : plan.evaluation.programs)
    for (const Instruction& i : program.instructions)
      CHECK((i.op == Op::receive_forward || i.op == Op::forward || i.op == Op::send_forward));
  Schedule broken = plan.evaluation;
  std::erase_if(broken.programs[1].instructions, [](const Instruction& i) { return i.op == Op::forward; });
  const auto result = verify(broken, plan.stages, plan.seams, 3, false);
  REQUIRE(!result);
  CHECK(result.error().message == "stage 1 runs forward of microbatch 0 0 times");
}

TEST_CASE("a message goes over a seam of its stage") {
  const Plan plan = plan_of({llm(3, 1)}, 3, 2);
  Schedule broken = plan.training;
  for (Instruction& i : broken.programs[2].instructions)
    if (i.op == Op::receive_forward) i.seam = 0;
  const auto result = verify(broken, plan.stages, plan.seams, 2);
  REQUIRE(!result);
  CHECK(result.error().message ==
        "receive_forward of stage 2, microbatch 0 goes over seam 0, which is none of its stage");
}

TEST_CASE("collectives begin in one order on all ranks that share them") {
  // Two modalities with embeddings that their first and last stages share: four programs, two of them each.
  catalog::Modality first = llm(2, 1), second = llm(2, 1);
  first.name = "draft";
  for (catalog::Modality* m : {&first, &second}) {
    catalog::ParamSpec head = m->spec.modules.back().params.front();
    head.name = "head.weight";
    head.tied_to = m->spec.modules.front().params.front().name;
    m->spec.modules.back().params.push_back(head);
  }
  Plan plan = plan_of({first, second}, 8, 2);
  CHECK(verify_collectives(plan));
  // Whoever waits for the other's embeddings first, and the other way round on the other side.
  Program& a = plan.training.programs[0];
  Program& b = plan.training.programs[1];
  a.instructions.push_back({Op::reduce_gradients, 2, -1, -1});
  b.instructions.insert(b.instructions.begin(), {Op::reduce_gradients, 2, -1, -1});
  const auto result = verify_collectives(plan);
  REQUIRE(!result);
  CHECK(result.error().message ==
        "collectives in no common order: stage 0 begins tied_embeddings of stage 0, stage 1 begins dp_sp of "
        "stage "
        "2, stage 2 begins dp_sp of stage 2, stage 3 begins tied_embeddings of stage 2");
}

TEST_CASE("a microbatch without media has nothing to do on the encoder's ranks") {
  const Plan plan = plan_of({encoder("vision", 2, 1, 1, false, true), llm(1, 1, 1, false)}, 3, 3);
  const Activity activity(plan, {{2, 0, 1}});
  CHECK(activity.forward(0, 0));
  CHECK(!activity.forward(1, 1));
  CHECK(!activity.backward(0, 0));
  CHECK(activity.backward(1, 2));
  CHECK(activity.backward(2, 0));
  CHECK(!activity.backward(2, 1));  // the LLM is frozen and nothing upstream learns from this one
  CHECK(activity.last_backward(1) == 2);
  CHECK(activity.last_backward(0) == -1);
  const auto working = [&](Op op, int m) { return activity.has_work({op, 2, 1, m}); };
  CHECK(working(Op::receive_forward, 0));
  CHECK(!working(Op::receive_forward, 1));
  CHECK(working(Op::send_backward, 2));
  CHECK(!working(Op::send_backward, 1));
}
