#include "cornstarch/models/tokens.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace cornstarch::models {

at::Tensor index_tensor(const std::vector<std::int64_t>& values) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<std::int64_t>());
  return out;
}

}  // namespace cornstarch::models
