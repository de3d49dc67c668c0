// Every layout computes what one rank computes: loss, gradient norm, every gradient, and every parameter
// after three steps, with different data on every replica.

#include "catch.h"
#include "harness.h"

using namespace cornstarch;

namespace {

/// Compares the layouts of one kind; returns how many there are.
int compare(config::Sharding sharding) {
  int compared = 0;
  for (const test::LayoutCase& layout : test::layout_cases()) {
    if (layout.sharding != sharding) continue;
    ++compared;
    for (const test::Trial& trial : test::trials_of(layout)) {
      INFO(trial.name());
      const auto got = test::run_as_threads(trial);
      CHECK(test::differences(got, test::reference(trial), trial.tolerance(), false) ==
            std::vector<std::string>{});
    }
  }
  return compared;
}

}  // namespace

TEST_CASE("every layout computes what one rank computes") { CHECK(compare(config::Sharding::none) >= 60); }

TEST_CASE("so does every layout with ZeRO-1") { CHECK(compare(config::Sharding::zero1) >= 14); }
