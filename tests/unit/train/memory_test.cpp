#include "memory.h"

#include "catch.h"
#include "plan_fixture.h"

using namespace cornstarch;

namespace {

/// parameters, gradients, optimizer: of one rank of two replicas. Modules have 16 elements each.
std::vector<double> held(const config::RunConfig& config, const catalog::Modalities& modalities, int rank,
                         int world) {
  const auto plan = value_or_throw(plan::make_plan(config, modalities, world));
  const auto bytes = train::held_bytes(config, modalities, plan, rank);
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

TEST_CASE("frozen modules have neither gradients nor optimizer state") {
  const catalog::Modalities modalities{test::encoder("vision", 1, 1, 1, false, true), test::llm(1, 1)};
  auto config = test::config();
  CHECK(held(config, modalities, 0, 2) == std::vector<double>{128, 64, 128});
  config.sharding = config::Sharding::zero3;  // their values are shared, too
  CHECK(held(config, modalities, 0, 4) == std::vector<double>{64, 32, 64});
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
