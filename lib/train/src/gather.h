#pragma once

#include <optional>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/weights.h"
#include "cornstarch/pipeline/executor.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::train {

/// Brings replica 0's shards of a modality together on the rank of its first stage and first shard, which
/// returns the whole tensors in the order of the spec (a tied copy left out), on the CPU; the other ranks
/// return nothing. In `options`: values in the type of the parameters, unrounded ones in any other.
std::optional<std::vector<models::NamedTensor>> gather_modality(const plan::Plan& plan,
                                                                const catalog::Modalities& modalities,
                                                                comm::Communicator& comm,
                                                                pipeline::Executor& executor, int modality,
                                                                at::TensorOptions options);

}  // namespace cornstarch::train
