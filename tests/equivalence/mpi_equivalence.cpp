// The layouts of the table that fit the number of processes, over MPI: each process compares the shards it
// holds with what one rank computes.
//
//   mpirun -n 4 mpi_equivalence

#include <ATen/Parallel.h>

#include <cstdio>

#include "cornstarch/base/text.h"
#include "cornstarch/comm/mpi.h"
#include "cornstarch/launch/environment.h"
#include "harness.h"

using namespace cornstarch;

namespace {

/// Layouts in one process would repeat; of each world size these many are enough to meet every kind of
/// message.
constexpr std::size_t kMostLayouts = 8;

int compare_layouts(const comm::CommunicatorPtr& comm) {
  std::vector<test::LayoutCase> layouts;
  for (const test::LayoutCase& layout : test::layout_cases())
    if (test::world_size(layout) == comm->size()) layouts.push_back(layout);
  const std::size_t stride = (layouts.size() + kMostLayouts - 1) / kMostLayouts;
  int compared = 0, failed = 0;
  for (std::size_t i = 0; i < layouts.size(); i += stride) {
    const test::Trial trial{layouts[i], config::OptimizerType::adamw, config::Precision::fp64};
    test::Outcome got;
    test::Run run(trial, false);
    run.rank(comm, got, true);
    const auto wrong = test::differences(got, trial, true);
    for (const std::string& line : wrong)
      std::fprintf(stderr, "rank %d: %s: %s\n", comm->rank(), trial.name().c_str(), line.c_str());
    ++compared;
    failed += wrong.empty() ? 0 : 1;
  }
  if (comm->rank() == 0)
    std::printf("%d processes: %d layouts compared, %d differ\n", comm->size(), compared, failed);
  return compared > 0 && failed == 0 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    at::set_num_threads(1);
    const auto launch = value_or_throw(launch::detect());
    return compare_layouts(value_or_throw(comm::connect_mpi(launch, {std::chrono::seconds(60)})));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
