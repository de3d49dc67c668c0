#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <cstring>

#include "cornstarch/comm/communicator.h"

namespace cornstarch::comm {

/// acc[i] = acc[i] op x[i]. Every backend reduces with this, in the order of ranks, so that all of them give
/// the same bits. A NaN wins over any number in `max`; bools are or-ed by both. Throws a Failure for a dtype
/// without order.
void reduce_into(void* acc, const void* x, std::int64_t count, at::ScalarType type, Reduce op);

/// memmove that takes the null pointers of empty tensors.
inline void copy_bytes(void* to, const void* from, std::size_t count) {
  if (count > 0 && to != from) std::memmove(to, from, count);
}

}  // namespace cornstarch::comm
