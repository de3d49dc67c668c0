#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "cornstarch/comm/communicator.h"

namespace cornstarch {

constexpr int kEveryStep = 0;

/// What one rank of four does in one step instead of what it should.
struct Fault {
  std::string kind;  ///< a key of faulty_steps' or of its caller's `does`
  int rank = 0;
  int step = 0;
};

/// Steps as a run has them: two stages of two ranks, messages between them, sums over pairs and over all.
inline void faulty_steps(comm::Communicator& comm, int steps, const Fault& fault,
                         const std::function<void()>& does) {
  const int r = comm.rank(), first = r / 2 * 2;
  const auto tp = comm.group({first, first + 1}, "tp");
  const auto dp = comm.group(r % 2 ? std::vector<int>{1, 3} : std::vector<int>{0, 2}, "dp");
  const auto tensor = [](long size) { return at::zeros({size}, at::kFloat); };
  for (int step = 1; step <= steps; ++step) {
    comm.at(step, "training");
    const bool now = r == fault.rank && (step == fault.step || fault.step == kEveryStep);
    const auto is = [&](const char* kind) { return now && fault.kind == kind; };
    if (!is("skip_first")) tp->all_reduce(tensor(64));
    if (now && does) does();
    const auto message = tensor(128);
    if (r < 2 && !is("skip_send")) comm.send(message, r + 2, comm::Lane{1}, "activations");
    if (r >= 2 && !is("skip_receive")) comm.receive(message, r - 2, comm::Lane{1}, "activations")->wait();
    if (!is("skip_tp")) tp->all_reduce(tensor(32));
    if (r >= 2) comm.send(message, r - 2, comm::Lane{2}, "gradients");
    if (r < 2) comm.receive(message, r + 2, comm::Lane{2}, "gradients")->wait();
    if (is("other_op")) dp->broadcast(tensor(96), 0);
    if (!is("skip_dp") && !is("other_op")) dp->all_reduce(tensor(is("shape") ? 48 : 96));
    if (!is("skip_world")) comm.world()->all_reduce(tensor(8));
  }
}

}  // namespace cornstarch
