#pragma once

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::catalog {

/// Along split.dim, what rank `rank` of `tp` holds of a parameter; {} of one that is not split.
Range part_of(const ParamSpec& param, int tp, int rank);

/// The shape of what it holds: of the whole where the parameter is not split.
Shape shard_shape(const ParamSpec& param, int tp, int rank);

}  // namespace cornstarch::catalog
