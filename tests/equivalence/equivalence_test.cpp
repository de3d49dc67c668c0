// Every layout computes what one rank computes: loss, gradient norm, every gradient, and every parameter
// after three steps, with different data on every replica.

#include "catch.h"
#include "harness.h"

using namespace cornstarch;

TEST_CASE("every layout computes what one rank computes") {
  const auto layouts = test::layout_cases();
  REQUIRE(layouts.size() >= 60);
  for (const test::LayoutCase& layout : layouts)
    for (const test::Trial& trial : test::trials_of(layout)) {
      INFO(trial.name());
      const auto got = test::run_as_threads(trial);
      CHECK(test::differences(got, test::reference(trial), trial.tolerance(), false) ==
            std::vector<std::string>{});
    }
}
