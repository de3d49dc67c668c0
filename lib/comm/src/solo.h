#pragma once

#include "cornstarch/comm/communicator.h"

namespace cornstarch::comm {

/// A Work that is complete.
WorkPtr finished_work();

/// The group of one rank, for every backend.
GroupPtr solo_group(int world_rank);

/// Throws a Failure (internal) unless `ranks` ascend within the world and contain `rank`; returns its
/// position.
int require_group_ranks(const std::vector<int>& ranks, int rank, int world_size, const std::string& name);

/// Throws a Failure (internal) unless `member` is a rank of the group.
void require_member(int member, int size, const std::string& name);

}  // namespace cornstarch::comm
