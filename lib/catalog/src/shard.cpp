#include "cornstarch/catalog/shard.h"

namespace cornstarch::catalog {

Range part_of(const ParamSpec& param, int tp, int rank) {
  if (param.split.dim < 0) return {};
  const std::int64_t unit = param.split.unit;
  const Range units = share(param.shape.at(static_cast<std::size_t>(param.split.dim)) / unit, tp, rank);
  return {units.begin * unit, units.end * unit};
}

Shape shard_shape(const ParamSpec& param, int tp, int rank) {
  Shape shape = param.shape;
  if (param.split.dim >= 0)
    shape.at(static_cast<std::size_t>(param.split.dim)) = part_of(param, tp, rank).size();
  return shape;
}

}  // namespace cornstarch::catalog
