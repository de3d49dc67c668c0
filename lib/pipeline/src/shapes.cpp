#include "cornstarch/pipeline/shapes.h"

#include "cornstarch/plan/item_parts.h"

namespace cornstarch::pipeline {
namespace {

using Shape = std::vector<std::int64_t>;

struct After {
  Shape before;
  std::int64_t places;
  Shape operator()(const catalog::PatchEmbedding& p) const { return {places, p.hidden}; }
  Shape operator()(const catalog::Conv1d& c) const { return {c.out, places}; }
  Shape operator()(const catalog::AddPositions& a) const { return {places, a.hidden}; }
  Shape operator()(const catalog::TokenEmbedding&) const { return before; }
  Shape operator()(const catalog::BlockSpec&) const { return before; }
  Shape operator()(const catalog::Norm&) const { return before; }
  Shape operator()(const catalog::LmHead&) const { return before; }
  Shape operator()(const catalog::Projector& p) const { return {places, p.out_proj.out}; }
};

}  // namespace

std::vector<std::int64_t> item_shape_after(const catalog::Modality& modality, int module, int sp, int cp) {
  Shape shape = modality.spec.item_shape;
  for (int m = 0; m <= module; ++m)
    shape = std::visit(After{shape, plan::item_places(modality.spec, m, sp, cp).size()},
                       modality.spec.modules[static_cast<std::size_t>(m)].body);
  return shape;
}

}  // namespace cornstarch::pipeline
