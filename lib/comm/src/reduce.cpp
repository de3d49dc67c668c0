#include "reduce.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include "cornstarch/base/text.h"
#include "describe.h"

namespace cornstarch::comm {
namespace {

template <typename T>
void reduce_typed(void* acc_bytes, const void* x_bytes, std::int64_t count, Reduce op) {
  T* __restrict acc = static_cast<T*>(acc_bytes);
  const T* __restrict x = static_cast<const T*>(x_bytes);
  if (op == Reduce::sum) {
    for (std::int64_t i = 0; i < count; ++i) acc[i] = static_cast<T>(acc[i] + x[i]);
  } else {
    const auto is_nan = [](T value) { return value != value; };  // NOLINT(misc-redundant-expression)
    for (std::int64_t i = 0; i < count; ++i) acc[i] = x[i] > acc[i] || is_nan(x[i]) ? x[i] : acc[i];
  }
}

void reduce_bools(void* acc_bytes, const void* x_bytes, std::int64_t count) {
  bool* acc = static_cast<bool*>(acc_bytes);
  const bool* x = static_cast<const bool*>(x_bytes);
  for (std::int64_t i = 0; i < count; ++i) acc[i] = acc[i] || x[i];
}

}  // namespace

void reduce_into(void* acc, const void* x, std::int64_t count, at::ScalarType type, Reduce op) {
  switch (type) {
    case at::kDouble:
      return reduce_typed<double>(acc, x, count, op);
    case at::kFloat:
      return reduce_typed<float>(acc, x, count, op);
    case at::kHalf:
      return reduce_typed<c10::Half>(acc, x, count, op);
    case at::kBFloat16:
      return reduce_typed<c10::BFloat16>(acc, x, count, op);
    case at::kLong:
      return reduce_typed<std::int64_t>(acc, x, count, op);
    case at::kInt:
      return reduce_typed<std::int32_t>(acc, x, count, op);
    case at::kShort:
      return reduce_typed<std::int16_t>(acc, x, count, op);
    case at::kChar:
      return reduce_typed<std::int8_t>(acc, x, count, op);
    case at::kByte:
      return reduce_typed<std::uint8_t>(acc, x, count, op);
    case at::kBool:
      return reduce_bools(acc, x, count);
    default:
      throw Failure(ExitCode::internal, cat("cannot reduce tensors of ", dtype_name(type)));
  }
}

}  // namespace cornstarch::comm
