#pragma once

#include <cstdint>
#include <vector>

#include "cornstarch/catalog/resolve.h"

namespace cornstarch::pipeline {

/// The shape of what context-parallel rank `cp` of `sp` holds of one media item after module `module` of an
/// encoder, without the leading item dimension: what crosses a stage boundary behind it, known to both ends
/// without a message.
std::vector<std::int64_t> item_shape_after(const catalog::Modality& modality, int module, int sp = 1,
                                           int cp = 0);

}  // namespace cornstarch::pipeline
