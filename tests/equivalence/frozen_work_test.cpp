// Frozen work is not done: operations, messages and gradients are counted, not timed.

#include <ATen/record_function.h>

#include <map>
#include <set>

#include "catch.h"
#include "cornstarch/train/trainer.h"
#include "layouts.h"

using namespace cornstarch;
using test::LayoutCase;

namespace {

/// What one rank did in one step.
struct Work {
  std::int64_t products = 0;  ///< matrix products and convolutions, forward and backward
  comm::Communicator::Traffic traffic;
  std::int64_t gradients = 0;  ///< parameters with a gradient
};

thread_local std::int64_t products_of_this_rank = 0;

/// Counts the operators in which the FLOPs are.
std::unique_ptr<at::ObserverContext> count_product(const at::RecordFunction& function) {
  const std::string name = function.name();
  if (name == "aten::addmm" || name == "aten::mm" || name == "aten::bmm") ++products_of_this_rank;
  return nullptr;
}

std::vector<Work> work_of(const LayoutCase& c) {
  config::RunConfig config = test::run_config(c, false);
  config.steps = 1;
  const catalog::Modalities modalities = test::resolve_or_throw(config);
  const plan::Plan plan = value_or_throw(plan::make_plan(config, modalities, test::world_size(c)));
  const test::SyntheticDataset data(modalities, config.batch.sequence_length, c.mix);
  std::vector<Work> out(plan.ranks.size());
  const auto handle = at::addGlobalCallback(at::RecordFunctionCallback(count_product));
  comm::run_threads(plan.world_size, {std::chrono::seconds(60)}, [&](const comm::CommunicatorPtr& comm) {
    products_of_this_rank = 0;
    std::set<const models::Parameter*> learning;
    train::Observer observer;
    observer.on_gradients = [&](std::int64_t, const std::vector<pipeline::Segment>& segments) {
      for (const pipeline::Segment& s : segments) learning.insert(s.parameter);
    };
    train::Trainer trainer({config, modalities, plan, comm, data}, observer);
    trainer.run();
    Work& work = out[static_cast<std::size_t>(comm->rank())];
    work.products = products_of_this_rank;
    work.traffic = comm->traffic();
    work.gradients = static_cast<std::int64_t>(learning.size());
  });
  at::removeCallback(handle);
  return out;
}

LayoutCase case_of(bool encoder, bool projector, bool llm) {
  LayoutCase c;
  test::EncoderLayout clip;
  clip.stages = 3;
  clip.train_encoder = encoder;
  clip.train_projector = projector;
  c.encoders = {clip};
  c.llm_stages = 2;
  c.train_llm = llm;
  return c;
}

}  // namespace

TEST_CASE("a frozen encoder runs forward only, sends forward only, and holds no gradient") {
  const auto trained = work_of(case_of(true, true, true));
  const auto frozen = work_of(case_of(false, true, true));
  REQUIRE(trained.size() == 5);
  // Ranks 0 to 2 are the encoder's stages, the projector in the last; 3 and 4 the LLM's.
  for (const int rank : {0, 1}) {
    const auto r = static_cast<std::size_t>(rank);
    CHECK(frozen[r].gradients == 0);
    CHECK(trained[r].gradients > 0);
    // Backward costs two products for each of forward's.
    CHECK(frozen[r].products < trained[r].products);
    CHECK(frozen[r].products > 0);
  }
  // Nothing comes back behind the projector: stage 1 gets gradients from stage 2 no more.
  CHECK(trained[1].traffic.messages == 2 * frozen[1].traffic.messages);
  CHECK(trained[2].traffic.messages == 2 * frozen[2].traffic.messages);
  CHECK(trained[3].traffic.messages == frozen[3].traffic.messages);
  CHECK(frozen[2].gradients == 4);  // the projector's two layers
}

TEST_CASE("when only the LLM trains, the encoder hears nothing") {
  const auto llm_only = work_of(case_of(false, false, true));
  const auto trained = work_of(case_of(true, true, true));
  CHECK(llm_only[2].gradients == 0);
  // The LLM's first stage sends activations on, and gradients back only if somebody upstream learns from
  // them.
  CHECK(llm_only[3].traffic.messages == case_of(false, false, true).num_microbatches);
  CHECK(trained[3].traffic.messages == llm_only[3].traffic.messages + llm_only[2].traffic.messages);
  CHECK(llm_only[2].products < trained[2].products);
}

TEST_CASE("a frozen LLM passes gradients on but computes none of its own") {
  const auto frozen = work_of(case_of(false, true, false));
  const auto trained = work_of(case_of(false, true, true));
  for (const int rank : {3, 4}) {
    const auto r = static_cast<std::size_t>(rank);
    CHECK(frozen[r].gradients == 0);
    CHECK(frozen[r].products < trained[r].products);
  }
}

namespace {

/// Of a text model of four layers, of which `only` train.
std::vector<Work> work_of_layers(const std::string& only, int stages = 1) {
  LayoutCase c;
  c.llm_stages = stages;
  c.llm_listed.only = {only};
  return work_of(c);
}

}  // namespace

TEST_CASE("layers in front of the first that trains run forward only, those behind it pass gradients on") {
  const auto products = [](const std::string& only) { return work_of_layers(only).front().products; };
  const std::int64_t last = products("model.layers.3"), third = products("model.layers.2");
  const std::int64_t passing = third - last;
  CHECK(passing > 0);
  CHECK(products("model.layers.1") == third + passing);
  const std::int64_t learning = products("model.layers.2..3") - third;
  CHECK(learning > 0);
  CHECK(products("model.layers.1..3") == third + passing + 2 * learning);
  CHECK(work_of_layers("model.layers.1..2").front().gradients == 2 * 9);  // seven products and two norms each
}

TEST_CASE("stages in front of the first that trains hear nothing") {
  const auto work = work_of_layers("model.layers.3", 2);
  CHECK(work[0].gradients == 0);
  CHECK(work[1].gradients == 9);
  CHECK(work[1].traffic.messages == 0);
  CHECK(work[0].traffic.messages == LayoutCase().num_microbatches);
}

TEST_CASE("a frozen LLM does nothing backward for text") {
  LayoutCase c = case_of(false, true, false);
  c.mix.media = false;
  const auto work = work_of(c);
  // Only activations travel, from the LLM's first stage to its second; nothing else is sent.
  CHECK(work[0].traffic.messages == 0);
  CHECK(work[2].traffic.messages == 0);
  CHECK(work[3].traffic.messages == c.num_microbatches);
  CHECK(work[4].traffic.messages == 0);
}
