// Every layout computes what one rank computes: loss, gradient norm, every gradient, and every parameter
// after three steps, with different data on every replica.

#include "catch.h"
#include "harness.h"

using namespace cornstarch;

namespace {

enum class Kind { plain, blocks, zero1 };

Kind kind_of(const test::LayoutCase& layout) {
  if (layout.sharding == config::Sharding::zero1) return Kind::zero1;
  return layout.plain_blocks() ? Kind::plain : Kind::blocks;
}

/// Compares the layouts of one kind; returns how many there are.
int compare(Kind kind) {
  int compared = 0;
  for (const test::LayoutCase& layout : test::layout_cases()) {
    if (kind_of(layout) != kind) continue;
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

TEST_CASE("every layout computes what one rank computes") { CHECK(compare(Kind::plain) >= 60); }

TEST_CASE("so does every layout that recomputes activations or deals tokens over tp") {
  CHECK(compare(Kind::blocks) >= 18);
}

TEST_CASE("so does every layout with ZeRO-1") { CHECK(compare(Kind::zero1) >= 14); }
