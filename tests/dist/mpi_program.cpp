// What tests/dist/mpi.sh starts under mpirun: one scenario per run, with the ending that a worker has.
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <random>
#include <thread>

#include "cornstarch/base/text.h"
#include "cornstarch/comm/mpi.h"
#include "cornstarch/launch/environment.h"
#include "faulty_steps.h"

using namespace cornstarch;
using namespace cornstarch::comm;

static std::atomic<int> yields = 0;

/// Counts what the process, MPI's libraries included, yields.
extern "C" int sched_yield() noexcept {
  ++yields;
  return static_cast<int>(::syscall(SYS_sched_yield));
}

namespace {

void expect(bool fact, int line = __builtin_LINE()) {
  if (!fact) throw Failure(ExitCode::internal, cat("what line ", line, " expects is not so"));
}

void sleep_seconds(int seconds) { std::this_thread::sleep_for(std::chrono::seconds(seconds)); }

/// 1e8 + 1 - 1e8 + ..: any other order of the sum gives other bits.
float part(int rank) {
  return rank % 3 == 0 ? 1e8F : rank % 3 == 1 ? 1.0F + static_cast<float>(rank) : -1e8F;
}

void check_sums(Group& group) {
  for (const long size : {1L, 7L, 3000L, 40'000L, 300'001L}) {
    float expected = part(group.ranks()[0]);
    for (std::size_t i = 1; i < group.ranks().size(); ++i) expected += part(group.ranks()[i]);
    const auto tensor =
        at::full({size}, part(group.ranks()[static_cast<std::size_t>(group.rank())]), at::kFloat);
    group.all_reduce(tensor);
    expect(at::equal(tensor, at::full({size}, expected, at::kFloat)));
    const auto most = at::full({size}, group.rank(), at::kDouble);
    group.all_reduce(most, Reduce::max);
    expect(at::equal(most, at::full({size}, group.size() - 1, at::kDouble)));
  }
}

void check_moves(Group& group) {
  const int n = group.size(), r = group.rank();
  for (const long size : {0L, 1L, 5000L}) {
    const auto sent = at::full({size}, r, at::kLong);
    group.broadcast(sent, n - 1);
    expect(at::equal(sent, at::full({size}, n - 1, at::kLong)));
    const auto all = at::zeros({n, size}, at::kByte);
    group.all_gather(all, at::full({size}, r, at::kByte));
    expect(at::equal(all, at::arange(n, at::kByte).unsqueeze(1).expand({n, size})));
    const auto sum = at::zeros({size}, at::kDouble);
    group.reduce_scatter(sum, at::arange(n, at::kDouble).unsqueeze(1).expand({n, size}).contiguous());
    expect(at::equal(sum, at::full({size}, n * r, at::kDouble)));
  }
}

/// Collectives and messages of all sizes under way at once, waited for in another order.
void check_traffic(Communicator& comm, Group& world, Group& part_of_world) {
  const int n = comm.size(), r = comm.rank();
  std::mt19937 shared(23);  // the same draws on every rank
  std::vector<WorkPtr> works;
  std::vector<std::pair<at::Tensor, long>> expected;
  for (int round = 0; round < 100; ++round) {
    const long size = static_cast<long>(shared() % 20'000);
    const int shift = static_cast<int>(shared()) % n, tag = static_cast<int>(shared() % 3);
    const int from = (r + n - std::abs(shift)) % n;
    const auto in = at::zeros({size}, at::kLong);
    works.push_back(comm.receive(in, from, Lane{tag}, "ring"));
    expected.emplace_back(in, 1000L * round + from);
    works.push_back(comm.send(at::full({size}, 1000L * round + r, at::kLong), (r + std::abs(shift)) % n,
                              Lane{tag}, "ring"));
    Group& group = shared() % 2 == 0 ? world : part_of_world;
    const auto sum = at::full({1 + size}, round + r, at::kLong);
    works.push_back(group.start_all_reduce(sum, Reduce::sum));
    long total = 0;
    for (const int member : group.ranks()) total += round + member;
    expected.emplace_back(sum, total);
    while (shared() % 4 == 0 && !works.empty()) {
      works.back()->wait();
      works.pop_back();
    }
  }
  for (const auto& work : works) work->wait();
  for (const auto& [tensor, value] : expected)
    expect(at::equal(tensor, at::full({tensor.numel()}, value, at::kLong)));
}

void run_traffic(const CommunicatorPtr& comm) {
  const int n = comm->size(), r = comm->rank();
  const auto world = comm->world();
  std::vector<int> part_of_world;
  for (int i = r % 2; i < n; i += 2) part_of_world.push_back(i);
  const auto odd_or_even = comm->group(part_of_world, "every other rank");
  for (const auto& group : {world, odd_or_even}) {
    if (group->size() > 1) check_sums(*group);
    check_moves(*group);
  }
  check_traffic(*comm, *world, *odd_or_even);
  world->barrier();
  if (r == 0) sleep_seconds(1);  // the others come to their end first
}

/// Rank 2 fails in some way while the others wait for it.
void run_failure(const CommunicatorPtr& comm, const std::string& how) {
  comm->world()->barrier();
  const int culprit = how == "kill0" ? 0 : 2;
  if (comm->rank() == culprit) {
    if (how == "throw" || how == "stuck") throw Failure(ExitCode::io, "disk full:\nno space left");
    if (how == "exit") std::exit(7);
    raise(SIGKILL);
  }
  if (how == "stuck") sleep_seconds(60);  // never looks at communication again
  if (comm->rank() % 2 == 0) comm->world()->barrier();
  comm->receive(at::zeros({4}, at::kFloat), culprit, Lane{5}, "nothing")->wait();
}

void run_missing(const CommunicatorPtr& comm) {
  const auto group = comm->group({0, 1, 2}, "tp of llm stage 2");
  group->barrier();
  if (comm->rank() == 1) return sleep_seconds(20);
  group->all_reduce(at::zeros({512}, at::kFloat));
}

void run_mismatch(const CommunicatorPtr& comm) {
  if (comm->rank() == 0)
    comm->send(at::zeros({3}, at::kFloat), 1, Lane{4}, "activations of microbatch 3")->wait();
  if (comm->rank() == 1)
    comm->receive(at::zeros({5}, at::kFloat), 0, Lane{4}, "activations of microbatch 2")->wait();
  comm->world()->barrier();
}

/// To look whether something has come costs no turn on the processor.
void run_crowded(const CommunicatorPtr& comm) {
  const auto message = at::zeros({4}, at::kFloat);
  comm->world()->barrier();
  if (comm->rank() == 1) {
    sleep_seconds(2);
    comm->send(message, 0, Lane{5}, "late")->wait();
    return;
  }
  const auto work = comm->receive(message, 1, Lane{5}, "late");
  const int before = yields;
  for (int i = 0; i < 1000; ++i) expect(!work->done());
  expect(yields == before);
  work->wait();
}

/// "KIND:RANK": rank RANK goes wrong in step 4 of 6 in that way.
void run_fault(const CommunicatorPtr& comm, const std::string& scenario) {
  const std::size_t colon = scenario.find(':');
  const Fault fault{scenario.substr(0, colon), std::atoi(scenario.c_str() + colon + 1), 4};
  faulty_steps(*comm, 6, fault, [&] {
    if (fault.kind == "throws") throw Failure(ExitCode::io, "disk full");
    if (fault.kind == "exits") std::exit(7);
    if (fault.kind == "killed") raise(SIGKILL);
    if (fault.kind == "stops") raise(SIGSTOP);
    if (fault.kind == "stuck") sleep_seconds(60);
  });
}

/// A rank that takes half of the deadline for every step is no fault.
void run_slow(const CommunicatorPtr& comm, int steps) {
  faulty_steps(*comm, steps, {"slow", 1, kEveryStep},
               [] { std::this_thread::sleep_for(std::chrono::milliseconds(250)); });
}

void run_scenario(const CommunicatorPtr& comm, const std::string& scenario) {
  if (scenario.find(':') != std::string::npos) return run_fault(comm, scenario);
  if (scenario == "slow") return run_slow(comm, 50);
  if (scenario == "slow_long") return run_slow(comm, 1000);
  if (scenario == "traffic" || scenario == "pieces") return run_traffic(comm);
  if (scenario == "crowded") return run_crowded(comm);
  if (scenario == "missing") return run_missing(comm);
  if (scenario == "mismatch") return run_mismatch(comm);
  run_failure(comm, scenario);
}

int run(const std::string& scenario) {
  const auto context = value_or_throw(launch::detect());
  const auto limit = scenario.rfind("slow", 0) == 0                                     ? 500
                     : scenario == "missing" || scenario.find(':') != std::string::npos ? 1'500
                                                                                        : 60'000;
  const Deadline deadline{std::chrono::milliseconds(limit),
                          std::chrono::seconds(scenario == "init" ? 3 : 60)};
  MpiOptions options;
  if (scenario == "pieces") options.max_piece_bytes = 1'000;
  if (scenario == "init" && context.rank == 2) raise(SIGKILL);
  auto comm = value_or_throw(connect_mpi(context, deadline, options));
  try {
    run_scenario(comm, scenario);
  } catch (const Failure& failure) {
    comm->abort(failure.error());
    if (failure.error().code == ExitCode::peer_failed) std::cout << cat(failure.what(), "\n") << std::flush;
    return static_cast<int>(failure.error().code);
  }
  std::cout << cat("rank ", context.rank, " of ", context.world_size, " done\n") << std::flush;
  return 0;
}

}  // namespace

int main(int, char** argv) {
  // MPICH's mpiexec tells the others so of a rank that has died. A worker takes it for a wish that it stops.
  std::signal(SIGUSR1, SIG_IGN);
  try {
    return run(argv[1]);
  } catch (const Failure& failure) {
    std::cerr << "error: " << failure.what() << "\n  help: " << failure.error().help << "\n";
    return static_cast<int>(failure.error().code);
  }
}
