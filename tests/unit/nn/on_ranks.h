#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "cornstarch/comm/communicator.h"

/// Runs `body` on tp ranks, with the group of all of them.
inline void on_ranks(int tp, const std::function<void(cornstarch::comm::GroupPtr)>& body) {
  cornstarch::comm::run_threads(tp, {},
                                [&](const cornstarch::comm::CommunicatorPtr& c) { body(c->world()); });
}

/// Catch's assertions are not thread-safe: ranks leave their results here, the test looks at them.
struct Results {
  explicit Results(int tp) : values(static_cast<std::size_t>(tp)) {}
  std::vector<std::vector<at::Tensor>> values;
  void set(int rank, std::vector<at::Tensor> v) { values[static_cast<std::size_t>(rank)] = std::move(v); }
};
