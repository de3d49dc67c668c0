// Every layout computes what one rank computes: loss, gradient norm, every gradient, and every parameter
// after three steps, with different data on every replica.
//
// CORNSTARCH_LAYOUTS="sp2 ring" equivalence_test: only the layouts whose name contains that.

#include <algorithm>
#include <cstdlib>

#include "catch.h"
#include "harness.h"

using namespace cornstarch;

namespace {

enum class Kind { plain, blocks, zero1, zero3, context };

bool splits_tokens(const test::LayoutCase& c) {
  return c.llm_sp > 1 || c.packing || c.first_fit || c.mask != config::AttentionMask::causal ||
         std::any_of(c.encoders.begin(), c.encoders.end(), [](const auto& e) { return e.sp > 1; });
}

Kind kind_of(const test::LayoutCase& layout) {
  if (splits_tokens(layout)) return Kind::context;
  if (layout.sharding == config::Sharding::zero1) return Kind::zero1;
  if (layout.sharding == config::Sharding::zero3) return Kind::zero3;
  return layout.plain_blocks() ? Kind::plain : Kind::blocks;
}

/// Compares the layouts of one kind; returns how many there are.
int compare(Kind kind) {
  const char* part = std::getenv("CORNSTARCH_LAYOUTS");
  int compared = 0;
  for (const test::LayoutCase& layout : test::layout_cases()) {
    if (kind_of(layout) != kind) continue;
    ++compared;
    for (const test::Trial& trial : test::trials_of(layout)) {
      if (part != nullptr && trial.name().find(part) == std::string::npos) continue;
      INFO(trial.name());
      const auto got = test::run_as_threads(trial);
      CHECK(test::differences(got, trial, false) == std::vector<std::string>{});
    }
  }
  return compared;
}

}  // namespace

TEST_CASE("every layout computes what one rank computes") { CHECK(compare(Kind::plain) >= 81); }

TEST_CASE("so does every layout that recomputes activations or deals tokens over tp") {
  CHECK(compare(Kind::blocks) >= 21);
}

TEST_CASE("so does every layout with ZeRO-3") { CHECK(compare(Kind::zero3) >= 23); }

TEST_CASE("so does every layout with ZeRO-1") { CHECK(compare(Kind::zero1) >= 20); }

TEST_CASE("so does every layout with context parallelism, and every attention mask") {
  CHECK(compare(Kind::context) >= 90);
}
