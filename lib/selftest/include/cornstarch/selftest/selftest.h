#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cornstarch/comm/communicator.h"

/// Whether ranks can talk to each other: every collective and every link, once, for the right result and with
/// times. What a run would hang on, or be slowed down by, is named before it begins.
namespace cornstarch::selftest {

struct Options {
  std::int64_t bytes = std::int64_t{4} << 20;  ///< of the largest tensor of an operation
  at::Device device = at::kCPU;                ///< the backend's
  std::string host;                            ///< this rank's
};

/// Elements that did not arrive as they should.
struct Wrong {
  std::int64_t count = 0;
  std::int64_t first = 0;  ///< of the tensor's elements
  double got = 0, expected = 0;
  bool operator==(const Wrong&) const = default;
};

/// What a rank saw of an operation.
struct Outcome {
  double seconds = 0;  ///< the least of some times
  Wrong wrong;         ///< of the first time that went wrong
};

struct Collective {
  std::string name;
  /// Of the tensor's bytes, what each rank has to send at least.
  double share = 1;
  std::vector<Outcome> ranks;
  int slowest() const;  ///< rank
};

/// A message from rank to rank, as its receiver saw it, while every other rank sent one, too.
struct Link {
  int from = 0, to = 0;
  Outcome outcome;
};

struct Report {
  std::string backend;
  std::int64_t bytes = 0;
  std::vector<std::string> hosts;  ///< by rank
  std::vector<Collective> collectives;
  std::vector<Link> links;  ///< of each ordered pair, by sender and receiver

  bool within_host(const Link& link) const;
  /// Those within hosts, or those between them, the slowest first.
  std::vector<Link> links_of(bool within_host) const;
};

/// Of links of one kind, the slowest first.
double median_seconds(const std::vector<Link>& links);
/// How many of them, from the first on, take more than twice as long as the median.
std::size_t count_slow(const std::vector<Link>& links);

/// Tests what `comm` connects. Every rank calls it and gets the same report. Throws Failure as the
/// communicator does, or when what a rank measured does not reach the others as it was.
Report measure(comm::Communicator& comm, const Options& options);

/// What went wrong, a line for each operation: "all_gather: wrong on ranks 1, 3; ...".
std::vector<std::string> problems(const Report& report);

std::string to_text(const Report& report);
std::string to_json(const Report& report);

}  // namespace cornstarch::selftest
