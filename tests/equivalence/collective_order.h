#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/comm/communicator.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::test {

/// Notes which collectives each rank begins. NCCL runs those of different groups beside each other, but only
/// if all ranks that two groups have in common begin them in the same order; threads and MPI do not mind.
/// Notes the groups, too.
class CollectiveOrder {
 public:
  explicit CollectiveOrder(int ranks) : seen_(static_cast<std::size_t>(ranks)) {}

  /// A communicator that does the same and is watched. This object must outlive it.
  comm::CommunicatorPtr watched(const comm::CommunicatorPtr& comm);

  /// Where two ranks begin what they have in common in different orders: a line for each pair.
  std::vector<std::string> conflicts() const;
  /// Where a rank has made other groups than the plan's: a line for each such rank.
  std::vector<std::string> unplanned(const plan::Plan& plan) const;

 private:
  struct Begun {
    std::vector<int> ranks;
    std::string what;
    bool operator==(const Begun&) const = default;
  };
  class WatchedGroup;
  class WatchedCommunicator;

  std::vector<Begun> in_common(std::size_t rank, int other) const;

  struct Seen {
    std::vector<Begun> begun;
    std::set<std::pair<std::string, std::vector<int>>> groups;
  };
  std::vector<Seen> seen_;  // by rank, whose thread alone writes it
};

}  // namespace cornstarch::test
