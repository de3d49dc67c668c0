#include "cornstarch/telemetry/timeline.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"

namespace cornstarch::telemetry {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kActivities[] = {"compute", "bubble", "communication"};

double first_begin(const std::vector<RankTimeline>& ranks) {
  double first = std::numeric_limits<double>::infinity();
  for (const RankTimeline& rank : ranks)
    for (const Span& span : rank.spans) first = std::min(first, span.begin_s);
  return first;
}

/// Microseconds, to a tenth.
double micros(double seconds) { return std::round(seconds * 1e7) / 10; }

Json name_event(const char* what, int rank, int thread, const std::string& name) {
  return {{"name", what}, {"ph", "M"}, {"pid", rank}, {"tid", thread}, {"args", {{"name", name}}}};
}

}  // namespace

std::string to_chrome_trace(const std::vector<RankTimeline>& ranks) {
  const double zero = first_begin(ranks);
  std::vector<Json> events;
  for (const RankTimeline& rank : ranks) {
    events.push_back(
        name_event("process_name", rank.rank, 0, "rank " + std::to_string(rank.rank) + ": " + rank.place));
    for (int thread = 0; thread < 3; ++thread)
      events.push_back(name_event("thread_name", rank.rank, thread, kActivities[thread]));
    for (const Span& span : rank.spans) {
      const int thread = static_cast<int>(span.activity);
      events.push_back({{"name", span.name},
                        {"cat", kActivities[thread]},
                        {"ph", "X"},
                        {"ts", micros(span.begin_s - zero)},
                        {"dur", micros(span.end_s - span.begin_s)},
                        {"pid", rank.rank},
                        {"tid", thread}});
    }
  }
  std::string out = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [";
  for (std::size_t i = 0; i < events.size(); ++i) out += (i == 0 ? "\n" : ",\n") + events[i].dump();
  return out + "\n]}\n";
}

Result<void> write_chrome_trace(const std::filesystem::path& path, const std::vector<RankTimeline>& ranks) {
  return write_file_atomically(path, to_chrome_trace(ranks));
}

TimeShares shares_of(const std::vector<Span>& spans) {
  TimeShares shares;
  for (const Span& span : spans) {
    double& sum = span.activity == Activity::compute  ? shares.compute
                  : span.activity == Activity::bubble ? shares.bubble
                                                      : shares.communication;
    sum += span.end_s - span.begin_s;
  }
  return shares;
}

}  // namespace cornstarch::telemetry
