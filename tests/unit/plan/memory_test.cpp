#include "cornstarch/plan/memory.h"

#include "catch.h"
#include "plan_fixture.h"

using namespace cornstarch;

namespace {

/// parameters, gradients, optimizer: of one rank of two replicas. Modules have 16 elements each.
std::vector<double> held(const config::RunConfig& config, const catalog::Modalities& modalities, int rank,
                         int world) {
  const auto plan = value_or_throw(plan::make_plan(config, modalities, world));
  const auto bytes = plan::held_bytes(config, modalities, plan, rank);
  return {bytes.parameters, bytes.gradients, bytes.optimizer};
}

}  // namespace

TEST_CASE("what a rank holds follows from precision and optimizer") {
  const catalog::Modalities modalities{test::llm(2, 1)};
  auto config = test::config();
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{128, 128, 256});
  config.precision = config::Precision::fp64;
  CHECK(held(config, modalities, 1, 2) == std::vector<double>{256, 256, 512});
  config.precision = config::Precision::bf16;
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{64, 128, 384});
  config.precision = config::Precision::bf16_pure;
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{64, 64, 128});
  config.precision = config::Precision::fp32;
  config.optimizer.type = config::OptimizerType::sgd;
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{128, 128, 0});
  config.optimizer.momentum = 0.9;
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{128, 128, 128});
}

TEST_CASE("with fp8, GPUs keep matrices of blocks in two more forms, but for ZeRO-3") {
  catalog::Modalities modalities{test::llm(2, 1)};
  auto config = test::config();
  config.precision = config::Precision::bf16;
  const auto bf16 = held(config, modalities, 0, 2);
  config.precision = config::Precision::fp8;
  CHECK(held(config, modalities, 0, 2) == bf16);
  config.device = config::Device::cuda;
  CHECK(held(config, modalities, 0, 2) == bf16);
  for (catalog::ModuleSpec& module : modalities[0].spec.modules) module.body = catalog::BlockSpec{};
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{64 + 64, bf16[1], bf16[2]});
  config.sharding = config::Sharding::zero3;
  CHECK(held(config, modalities, 0, 2)[0] == 64);
}

TEST_CASE("frozen modules have neither gradients nor optimizer state") {
  const catalog::Modalities modalities{test::encoder("vision", 1, 1, 1, false, true), test::llm(1, 1)};
  auto config = test::config();
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{128, 64, 128});
  config.sharding = config::Sharding::zero3;  // their values are shared, too
  CHECK(held(config, modalities, 0, 4) == std::vector<double>{64, 32, 64});
}

TEST_CASE("so has a frozen module of a stage of which others train") {
  catalog::Modalities modalities{test::llm(1, 1)};
  catalog::set_trains(modalities[0].spec.modules[0], false);
  CHECK(held(test::config(), modalities, 0, 2) == std::vector<double>{128, 64, 128});
  modalities[0].spec.modules[1].params[0].trains = false;
  CHECK(held(test::config(), modalities, 0, 2) == std::vector<double>{128, 0, 0});
}

TEST_CASE("tensor parallelism and sharding split what a rank holds") {
  catalog::Modalities modalities{test::llm(1, 2)};
  for (auto& module : modalities[0].spec.modules) module.params[0].split.dim = 0;
  auto config = test::config();
  CHECK(held(config, modalities, 0, 4) == std::vector<double>{64, 64, 128});
  config.sharding = config::Sharding::zero1;
  CHECK(held(config, modalities, 0, 4) == std::vector<double>{64, 64, 64});
  config.sharding = config::Sharding::zero3;
  CHECK(held(config, modalities, 0, 4) == std::vector<double>{32, 32, 64});
}

TEST_CASE("a tied parameter counts once on a stage that holds both") {
  catalog::Modalities modalities{test::llm(1, 1)};
  modalities[0].spec.modules[1].params[0].tied_to = modalities[0].spec.modules[0].params[0].name;
  CHECK(held(test::config(), modalities, 0, 1) == std::vector<double>{64, 64, 128});
}

TEST_CASE("ranks of a node add up") {
  const catalog::Modalities modalities{test::encoder("vision", 1, 1, 1, false, true), test::llm(2, 1)};
  const auto config = test::config();
  const auto plan = value_or_throw(plan::make_plan(config, modalities, 6, 4));
  const plan::HeldBytes first = plan::node_bytes(config, modalities, plan, 0);
  double sum = 0;
  for (int rank = 0; rank < 4; ++rank) sum += plan::held_bytes(config, modalities, plan, rank).total();
  CHECK(first.total() == sum);
  CHECK(plan::node_bytes(config, modalities, plan, 1).total() + sum ==
        2 * plan::node_bytes(config, modalities, value_or_throw(plan::make_plan(config, modalities, 3)), 0)
                .total());
  CHECK(plan::describe({1024, 2048, 3072}) ==
        "6 KiB (parameters 1 KiB, gradients 2 KiB, optimizer state 3 KiB)");
}

TEST_CASE("what would hold less, and how much") {
  using Ways = std::vector<std::string>;
  const auto ways = [](const config::RunConfig& config, const catalog::Modalities& modalities, int world) {
    const auto plan = value_or_throw(plan::make_plan(config, modalities, world));
    return plan::ways_to_hold_less(config, modalities, plan, 0);
  };
  auto config = test::config();
  // 32 elements: 16 bytes each, in two replicas.
  CHECK(ways(config, {test::llm(1, 1)}, 2) ==
        Ways{"model.llm.train: false (256 B)", "one replica, of 1 rank, in all (512 B)",
             "precision: bf16_pure (512 B)", "sharding: zero3 (512 B)", "sharding: zero1 (768 B)"});
  CHECK(ways(config, {test::llm(2, 1)}, 4) ==
        Ways{"model.llm.train: false (512 B)", "one replica, of 2 ranks, in all (1 KiB)",
             "precision: bf16_pure (1 KiB)", "sharding: zero1 (1.5 KiB)"});
  config.precision = config::Precision::bf16_pure;
  CHECK(ways(config, {test::llm(1, 1, 1, false)}, 1) == Ways{});
}
