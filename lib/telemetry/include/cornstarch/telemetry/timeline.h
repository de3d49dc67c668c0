#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::telemetry {

/// What a rank's time goes to.
enum class Activity {
  compute,
  bubble,         ///< waiting for what another stage has yet to compute and send
  communication,  ///< waiting for a reduction over replicas, or for room to send
  transfer,       ///< what moves on streams of its own meanwhile: no share of the rank's time
  host_wait,      ///< the moment at which the host begins to wait for its device: no share either
};

/// A stretch of a rank's time.
struct Span {
  std::string name;  ///< "forward llm 1, microbatch 3"
  Activity activity = Activity::compute;
  double begin_s = 0, end_s = 0;  ///< since the epoch, by the rank's own clock
};

struct RankTimeline {
  int rank = 0;
  std::string place;  ///< "llm stage 1, dp 0, tp 2"
  std::vector<Span> spans;
};

/// Trace events as Perfetto and chrome://tracing read them (Google, "Trace Event Format"): one process per
/// rank, one thread per activity (of transfers, which may overlap, as many as run at once), moments at
/// which a host waits as instant events, times in microseconds since the first span.
std::string to_chrome_trace(const std::vector<RankTimeline>& ranks);

Result<void> write_chrome_trace(const std::filesystem::path& path, const std::vector<RankTimeline>& ranks);

/// Seconds of each activity but transfers.
struct TimeShares {
  double compute = 0, bubble = 0, communication = 0;
};
TimeShares shares_of(const std::vector<Span>& spans);

}  // namespace cornstarch::telemetry
