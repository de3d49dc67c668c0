#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>

#include "cornstarch/base/text.h"
#include "cornstarch/selftest/selftest.h"

namespace cornstarch::selftest {
namespace {

using Clock = std::chrono::steady_clock;
using comm::Reduce;

/// The first time connects what was never used, and does not count.
constexpr int kTimes = 11;
constexpr std::int64_t kMostHostName = 64;

/// An operation with its tensors, which are made before the clock starts.
struct Operation {
  std::string name;
  at::Tensor result;
  at::Tensor expected;
  std::function<void()> reset;
  std::function<void()> run;
};

Wrong compare(const at::Tensor& result, const at::Tensor& expected) {
  if (at::equal(result, expected)) return {};
  const at::Tensor got = result.flatten(), right = expected.flatten();
  const at::Tensor wrong = got.ne(right).nonzero();
  const auto first = wrong[0].item<std::int64_t>();
  return {wrong.size(0), first, got[first].item<double>(), right[first].item<double>()};
}

class Tester {
 public:
  Tester(comm::Communicator& comm, const Options& options)
      : comm_(comm),
        world_(*comm.world()),
        options_(at::TensorOptions(options.device).dtype(at::kFloat)),
        part_(std::max<std::int64_t>(options.bytes / 4 / comm.size(), 1)) {}

  std::int64_t bytes() const { return 4 * part_ * comm_.size(); }

  /// One after the other, so that only one has its tensors at a time: the report's collectives, and then the
  /// links from 1, 2, .. ranks before this one.
  std::vector<Outcome> test_all(Report& report) const {
    std::vector<Outcome> out;
    const auto collective = [&](const Operation& operation, double share) {
      report.collectives.push_back({operation.name, share, {}});
      out.push_back(test(operation));
    };
    const double others = static_cast<double>(size() - 1) / size();
    collective(all_reduce(Reduce::sum), 2 * others);
    collective(all_reduce(Reduce::max), 2 * others);
    collective(broadcast(), 1);
    collective(all_gather(), others);
    collective(reduce_scatter(), others);
    collective(all_to_all(), others);
    for (int shift = 1; shift < size(); ++shift) out.push_back(test(ring(shift)));
    return out;
  }

 private:
  int size() const { return comm_.size(); }
  int rank() const { return comm_.rank(); }

  /// Differs from element to element; sums of up to three thousand ranks of it are exact.
  at::Tensor pattern(std::int64_t elements) const {
    return at::arange(elements, options_.dtype(at::kInt)).remainder(251).to(at::kFloat);
  }
  /// A row for each rank: the pattern plus `first`, `first + step`, ...
  at::Tensor rows(double first, double step) const {
    return pattern(part_) + (at::arange(size(), options_) * step + first).unsqueeze(1);
  }
  at::Tensor nothing(at::IntArrayRef shape) const { return at::full(shape, -1, options_); }

  Outcome test(const Operation& operation) const {
    comm_.at(0, cat("self-test: ", operation.name));
    Outcome out;
    for (int time = 0; time < kTimes; ++time) {
      operation.reset();
      comm_.settle();
      world_.barrier();
      const auto begin = Clock::now();
      operation.run();
      static_cast<void>(operation.result.flatten()[0].item<float>());  // the host waits for the device
      const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      comm_.check();
      if (time == 1 || (time > 1 && seconds < out.seconds)) out.seconds = seconds;
      if (out.wrong.count == 0) out.wrong = compare(operation.result, operation.expected);
    }
    return out;
  }

  Operation all_reduce(Reduce op) const {
    const at::Tensor values = pattern(part_ * size());
    const at::Tensor result = at::empty_like(values);
    const double n = size();
    const bool sums = op == Reduce::sum;
    return {sums ? "all_reduce sum" : "all_reduce max", result,
            sums ? values * n + n * (n - 1) / 2 : values + (n - 1),
            [=, this] { result.copy_(values).add_(rank()); }, [=, this] { world_.all_reduce(result, op); }};
  }

  Operation broadcast() const {
    const int root = size() - 1;
    const at::Tensor values = pattern(part_ * size());
    const at::Tensor result = at::empty_like(values);
    return {"broadcast", result, values,
            [=, this] { rank() == root ? result.copy_(values) : result.fill_(-1); },
            [=, this] { world_.broadcast(result, root); }};
  }

  Operation all_gather() const {
    const at::Tensor expected = rows(0, 1);
    const at::Tensor own = expected[rank()].clone();
    const at::Tensor result = nothing({size(), part_});
    return {"all_gather", result, expected, [=] { result.fill_(-1); },
            [=, this] { world_.all_gather(result, own); }};
  }

  Operation reduce_scatter() const {
    const double n = size();
    const at::Tensor own = rows(rank(), 1);
    const at::Tensor result = nothing({part_});
    return {"reduce_scatter", result, pattern(part_) * n + n * (n - 1) / 2 + n * rank(),
            [=] { result.fill_(-1); }, [=, this] { world_.reduce_scatter(result, own); }};
  }

  /// Made of messages, as attention exchanges heads.
  Operation all_to_all() const {
    const at::Tensor own = rows(rank() * size(), 1);   // to rank r: pattern + rank() * n + r
    const at::Tensor expected = rows(rank(), size());  // from rank r: pattern + r * n + rank()
    const at::Tensor result = nothing({size(), part_});
    const auto reset = [=, this] {
      result.fill_(-1);
      result[rank()].copy_(own[rank()]);
    };
    const auto run = [=, this] {
      std::vector<comm::WorkPtr> work;
      for (int peer = 0; peer < size(); ++peer) {
        if (peer == rank()) continue;
        work.push_back(comm_.receive(result[peer], peer, comm::Lane::selftest, "all_to_all"));
        work.push_back(comm_.send(own[peer], peer, comm::Lane::selftest, "all_to_all"));
      }
      for (const comm::WorkPtr& each : work) each->wait();
    };
    return {"all_to_all", result, expected, reset, run};
  }

  /// Every rank sends to the one `shift` ranks behind it.
  Operation ring(int shift) const {
    const int to = (rank() + shift) % size(), from = (rank() + size() - shift) % size();
    const at::Tensor values = pattern(part_ * size());
    const at::Tensor own = values + rank(), result = at::empty_like(values);
    const auto run = [=, this] {
      const comm::WorkPtr received = comm_.receive(result, from, comm::Lane::selftest, "link");
      const comm::WorkPtr sent = comm_.send(own, to, comm::Lane::selftest, "link");
      received->wait();
      sent->wait();
    };
    return {cat("links over ", shift), result, values + from, [=] { result.fill_(-1); }, run};
  }

  comm::Communicator& comm_;
  comm::Group& world_;
  at::TensorOptions options_;
  std::int64_t part_;
};

/// What every rank has, [ranks, ...].
at::Tensor gather(comm::Communicator& comm, const at::Tensor& own, at::Device device) {
  std::vector<std::int64_t> shape = own.sizes().vec();
  shape.insert(shape.begin(), comm.size());
  const at::Tensor all = at::zeros(shape, own.options().device(device));
  comm.world()->all_gather(all, own.to(device));
  const at::Tensor here = all.cpu();
  comm.check();
  if (at::equal(here[comm.rank()], own)) return here;
  throw Failure(ExitCode::device, "what this rank gave all_gather came back as something else");
}

std::vector<std::string> gather_hosts(comm::Communicator& comm, const Options& options) {
  const at::Tensor own = at::zeros({kMostHostName}, at::kByte);
  std::memcpy(own.data_ptr(), options.host.data(),
              std::min(options.host.size(), static_cast<std::size_t>(kMostHostName)));
  const at::Tensor all = gather(comm, own, options.device);
  std::vector<std::string> out;
  for (int rank = 0; rank < comm.size(); ++rank) {
    const auto* name = static_cast<const char*>(all.const_data_ptr()) + rank * kMostHostName;
    out.emplace_back(name, strnlen(name, static_cast<std::size_t>(kMostHostName)));
  }
  return out;
}

constexpr std::int64_t kNumbers = 5;

at::Tensor as_numbers(const std::vector<Outcome>& outcomes) {
  const at::Tensor out = at::empty({static_cast<std::int64_t>(outcomes.size()), kNumbers}, at::kDouble);
  double* to = out.mutable_data_ptr<double>();
  for (const auto& [seconds, wrong] : outcomes)
    for (const double number : {seconds, static_cast<double>(wrong.count), static_cast<double>(wrong.first),
                                wrong.got, wrong.expected})
      *to++ = number;
  return out;
}

Outcome as_outcome(const double* from) {
  return {from[0],
          {static_cast<std::int64_t>(from[1]), static_cast<std::int64_t>(from[2]), from[3], from[4]}};
}

}  // namespace

Report measure(comm::Communicator& comm, const Options& options) {
  const Tester tester(comm, options);
  Report report{comm.backend(), tester.bytes(), gather_hosts(comm, options), {}, {}};
  const at::Tensor all = gather(comm, as_numbers(tester.test_all(report)), options.device);
  const int size = comm.size();
  const auto outcome = [&](int rank, std::size_t nth) {
    return as_outcome(all.const_data_ptr<double>() + rank * all.stride(0) +
                      static_cast<std::int64_t>(nth) * kNumbers);
  };
  for (std::size_t c = 0; c < report.collectives.size(); ++c)
    for (int rank = 0; rank < size; ++rank) report.collectives[c].ranks.push_back(outcome(rank, c));
  for (int from = 0; from < size; ++from)
    for (int to = 0; to < size; ++to) {
      if (from == to) continue;
      const auto shift = static_cast<std::size_t>((to - from + size) % size);
      report.links.push_back({from, to, outcome(to, report.collectives.size() + shift - 1)});
    }
  return report;
}

}  // namespace cornstarch::selftest
