#include "cornstarch/pipeline/shapes.h"

namespace cornstarch::pipeline {
namespace {

using Shape = std::vector<std::int64_t>;

struct After {
  Shape before;
  Shape operator()(const catalog::PatchEmbedding& p) const {
    const std::int64_t side = p.image_size / p.patch_size;
    return {1 + side * side, p.hidden};
  }
  Shape operator()(const catalog::Conv1d& c) const { return {c.out, (before.at(1) - 1) / c.stride + 1}; }
  Shape operator()(const catalog::AddPositions& a) const { return {a.positions, a.hidden}; }
  Shape operator()(const catalog::TokenEmbedding&) const { return before; }
  Shape operator()(const catalog::BlockSpec&) const { return before; }
  Shape operator()(const catalog::Norm&) const { return before; }
  Shape operator()(const catalog::LmHead&) const { return before; }
  Shape operator()(const catalog::Projector& p) const { return {before.at(0), p.out_proj.out}; }
};

}  // namespace

std::vector<std::int64_t> item_shape_after(const catalog::Modality& modality, int module) {
  Shape shape = modality.spec.item_shape;
  for (int m = 0; m <= module; ++m)
    shape = std::visit(After{shape}, modality.spec.modules[static_cast<std::size_t>(m)].body);
  return shape;
}

}  // namespace cornstarch::pipeline
