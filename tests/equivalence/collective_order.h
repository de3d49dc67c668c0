#pragma once

#include <string>
#include <vector>

#include "cornstarch/comm/communicator.h"

namespace cornstarch::test {

/// Notes which collectives each rank begins. NCCL runs those of different groups beside each other, but only
/// if all ranks that two groups have in common begin them in the same order; threads and MPI do not mind.
class CollectiveOrder {
 public:
  explicit CollectiveOrder(int ranks) : begun_(static_cast<std::size_t>(ranks)) {}

  /// A communicator that does the same and is watched. This object must outlive it.
  comm::CommunicatorPtr watched(const comm::CommunicatorPtr& comm);

  /// Where two ranks begin what they have in common in different orders: a line for each pair.
  std::vector<std::string> conflicts() const;

 private:
  struct Begun {
    std::vector<int> ranks;
    std::string what;
    bool operator==(const Begun&) const = default;
  };
  class WatchedGroup;
  class WatchedCommunicator;

  std::vector<Begun> in_common(std::size_t rank, int other) const;

  std::vector<std::vector<Begun>> begun_;  // by rank, whose thread alone writes it
};

}  // namespace cornstarch::test
