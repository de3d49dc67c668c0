#include "place.h"

#include "cornstarch/base/text.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::app {

Result<Place> find_place(const std::optional<int>& local_ranks) {
  const auto launch = launch::detect();
  if (!launch) return tl::unexpected(launch.error());
  if (!local_ranks) return Place{launch->rank, launch->world_size, launch->local_size, launch->local_rank};
  if (launch->world_size == 1) return Place{0, *local_ranks, *local_ranks, 0};
  return fail(ExitCode::usage,
              cat("--local-ranks makes threads of one process, but ", launch->source, " started ",
                  launch->world_size, " processes"),
              "leave out --local-ranks, or start one process");
}

}  // namespace cornstarch::app
