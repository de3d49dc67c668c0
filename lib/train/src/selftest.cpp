#include "cornstarch/selftest/selftest.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "connect.h"
#include "cornstarch/base/error_of.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/train/run.h"
#include "device.h"
#include "job.h"

namespace cornstarch::train {
namespace {

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  throw Failure(ExitCode::io, cat("cannot write to standard output: ", std::strerror(errno)));
}

int test_rank(comm::Communicator& comm, at::Device device, const SelftestOptions& options) {
  const selftest::Report measured = selftest::measure(comm, {options.bytes, device, host_name()});
  const std::vector<std::string> problems = selftest::problems(measured);
  const ExitCode code = problems.empty() ? ExitCode::ok : ExitCode::device;
  if (comm.rank() == 0) {
    print(options.json ? selftest::to_json(measured) : selftest::to_text(measured));
    for (const std::string& problem : problems) report({code, problem, ""});
  }
  return static_cast<int>(code);
}

int test_threads(const SelftestOptions& options, comm::Deadline deadline) {
  int code = 0;
  comm::run_threads(options.local_ranks, deadline, [&](const comm::CommunicatorPtr& comm) {
    const int own = test_rank(*comm, at::kCPU, options);
    if (comm->rank() == 0) code = own;
  });
  return code;
}

}  // namespace

int self_test(const SelftestOptions& options) {
  try {
    config::RunConfig config;
    config.device = options.cuda ? config::Device::cuda : config::Device::cpu;
    config.deadlines.collective = options.deadline_seconds;
    if (options.local_ranks > 0) return test_threads(options, deadline_of(config.deadlines));
    const auto launch = value_or_throw(launch::detect());
    log::set_rank(launch.rank);
    return as_process(config, launch, [&](const comm::CommunicatorPtr& comm) {
      return test_rank(*comm, open_device(config.device, launch), options);
    });
  } catch (const std::exception& e) {
    return report(error_of(e));
  }
}

}  // namespace cornstarch::train
