// What scripts/test-gpu starts, one process for each GPU: one scenario per run, with the ending that a worker
// has.
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAFunctions.h>

#include <csignal>
#include <iostream>
#include <random>
#include <thread>

#include "cornstarch/base/text.h"
#include "cornstarch/comm/nccl.h"

using namespace cornstarch;
using namespace cornstarch::comm;

namespace {

const at::TensorOptions kGpu(at::kCUDA);

void expect(bool fact, int line = __builtin_LINE()) {
  if (!fact) throw Failure(ExitCode::internal, cat("what line ", line, " expects is not so"));
}

void check_sums(Group& world) {
  const int n = world.size(), r = world.rank();
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16, at::kLong}) {
    for (const long size : {0L, 1L, 7L, 300'001L}) {
      const auto sum = at::full({size}, r + 1, kGpu.dtype(type));
      world.all_reduce(sum);
      expect(at::equal(sum, at::full({size}, n * (n + 1) / 2, kGpu.dtype(type))));
      const auto most = at::full({size}, r, kGpu.dtype(type));
      world.all_reduce(most, Reduce::max);
      expect(at::equal(most, at::full({size}, n - 1, kGpu.dtype(type))));
    }
  }
}

void check_moves(Group& world) {
  const int n = world.size(), r = world.rank();
  for (const long size : {1L, 5000L}) {
    const auto sent = at::full({size}, r, kGpu.dtype(at::kLong));
    world.broadcast(sent, n - 1);
    expect(at::equal(sent, at::full({size}, n - 1, kGpu.dtype(at::kLong))));
    const auto all = at::full({n, size}, r, kGpu.dtype(at::kByte));
    world.all_gather(all, all[r]);  // in place
    expect(at::equal(all, at::arange(n, kGpu.dtype(at::kByte)).unsqueeze(1).expand({n, size})));
    const auto sum = at::zeros({size}, kGpu.dtype(at::kDouble));
    world.reduce_scatter(sum,
                         at::arange(n, kGpu.dtype(at::kDouble)).unsqueeze(1).expand({n, size}).contiguous());
    expect(at::equal(sum, at::full({size}, n * r, kGpu.dtype(at::kDouble))));
  }
}

/// Messages to both neighbours at once while the GPU computes, tensors dropped as soon as they are sent;
/// every buffer is used again at once by what follows on the compute stream.
void check_traffic(Communicator& comm) {
  const int n = comm.size(), r = comm.rank();
  const int next = (r + 1) % n, last = (r + n - 1) % n;
  std::mt19937 shared(23);  // the same draws on every rank
  at::Tensor busy = at::ones({1024, 1024}, kGpu);
  for (int round = 0; round < 200; ++round) {
    const long size = 1 + static_cast<long>(shared() % 3'000'000);
    busy = at::matmul(busy, busy).mul_(1e-3);
    const auto from_last = at::zeros({size}, kGpu.dtype(at::kLong));
    const auto from_next = at::zeros({size}, kGpu.dtype(at::kLong));
    const auto forward = comm.receive(from_last, last, Lane{0}, "ring");
    const auto backward = comm.receive(from_next, next, Lane{1}, "ring");
    const auto sent =
        comm.send(at::full({size}, 1000L * round + r, kGpu.dtype(at::kLong)), next, Lane{0}, "ring");
    comm.send(at::full({size}, -1000L * round - r, kGpu.dtype(at::kLong)), last, Lane{1}, "ring");
    const auto noise = at::full({size}, 77, kGpu.dtype(at::kLong));
    backward->wait();
    forward->wait();
    expect(at::equal(from_last, at::full({size}, 1000L * round + last, kGpu.dtype(at::kLong))));
    expect(at::equal(from_next, at::full({size}, -1000L * round - next, kGpu.dtype(at::kLong))));
    if (shared() % 2 == 0) sent->wait();
  }
}

/// Operations are timed where they run, while that is asked for.
void check_transfers(Communicator& comm) {
  const c10::Device gpu(at::kCUDA, c10::cuda::current_device());
  c10::Event zero(at::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
  zero.record(c10::impl::VirtualGuardImpl(at::kCUDA).getStream(gpu));
  Group& world = *comm.world();
  const auto tensor = at::ones({1 << 20}, kGpu.dtype(at::kFloat));
  world.all_reduce(tensor);
  comm.time_transfers(true);
  world.all_reduce(tensor);
  comm.time_transfers(false);
  world.all_reduce(tensor);
  tensor.cpu();
  const auto transfers = comm.take_transfers(zero);
  expect(transfers.size() == 1);
  expect(transfers[0].name == "all_reduce sum over world");
  expect(transfers[0].bytes == 4 << 20);
  expect(transfers[0].begin_s > 0 && transfers[0].end_s > transfers[0].begin_s);
  expect(comm.take_transfers(zero).empty());
}

void run_traffic(const CommunicatorPtr& comm) {
  check_sums(*comm->world());
  check_moves(*comm->world());
  if (comm->size() > 1) check_traffic(*comm);
  if (comm->size() > 1) check_transfers(*comm);
  comm->world()->barrier();
}

/// The last rank fails in some way while the others wait for it on the host.
void run_failure(const CommunicatorPtr& comm, const std::string& how) {
  comm->world()->barrier();
  const int culprit = how == "kill0" ? 0 : comm->size() - 1;
  if (comm->rank() == culprit) {
    if (how == "throw") throw Failure(ExitCode::io, "disk full:\nno space left");
    raise(SIGKILL);
  }
  const auto token = at::zeros({4}, kGpu);
  comm->world()->all_reduce(token);
  token.cpu();  // what the GPU waits for never comes
  comm->world()->barrier();
}

void run_missing(const CommunicatorPtr& comm) {
  comm->world()->barrier();
  if (comm->rank() == comm->size() - 1) return std::this_thread::sleep_for(std::chrono::seconds(20));
  const auto token = at::zeros({512}, kGpu);
  comm->world()->all_reduce(token);
  token.cpu();
  comm->world()->barrier();
}

int run(const std::string& scenario) {
  const auto context = value_or_throw(launch::detect());
  const Deadline deadline{std::chrono::milliseconds(scenario == "missing" ? 1'500 : 60'000)};
  auto comm = value_or_throw(connect_nccl(context, deadline));
  try {
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(context.local_rank));
    if (scenario == "traffic") {
      run_traffic(comm);
    } else if (scenario == "missing") {
      run_missing(comm);
    } else {
      run_failure(comm, scenario);
    }
  } catch (const Failure& failure) {
    comm->abort(failure.error());
    std::cout << cat(failure.what(), "\n") << std::flush;
    return static_cast<int>(failure.error().code);
  }
  std::cout << cat("rank ", context.rank, " of ", context.world_size, " done\n") << std::flush;
  return 0;
}

}  // namespace

int main(int, char** argv) {
  try {
    return run(argv[1]);
  } catch (const Failure& failure) {
    std::cerr << "error: " << failure.what() << "\n  help: " << failure.error().help << "\n";
    return static_cast<int>(failure.error().code);
  }
}
