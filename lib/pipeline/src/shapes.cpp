#include "cornstarch/pipeline/shapes.h"

#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/plan/item_parts.h"

namespace cornstarch::pipeline {
std::vector<std::int64_t> item_shape_after(const catalog::Modality& modality, int module, int sp, int cp) {
  catalog::Shape shape = modality.spec.item_shape;
  for (int m = 0; m <= module; ++m)
    shape = catalog::shape_behind(modality.spec.modules[static_cast<std::size_t>(m)], std::move(shape),
                                  plan::item_places(modality.spec, m, sp, cp).size());
  return shape;
}

}  // namespace cornstarch::pipeline
