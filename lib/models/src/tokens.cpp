#include "cornstarch/models/tokens.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "cornstarch/nn/upload.h"

namespace cornstarch::models {

Tokens on_device(const Tokens& tokens, at::Device device) {
  if (!tokens.layout || device.is_cpu()) return tokens;
  Tokens out{nn::on_device(tokens.layout, device), nn::upload(tokens.positions, device), tokens.length};
  out.rows = {nn::upload(tokens.rows.rows, device), tokens.rows.lengths};
  for (const auto& [window, layout] : tokens.windowed) out.windowed[window] = nn::on_device(layout, device);
  return out;
}

at::Tensor index_tensor(const std::vector<std::int64_t>& values) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<std::int64_t>());
  return out;
}

}  // namespace cornstarch::models
