#include "cornstarch/telemetry/timeline.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"

namespace cornstarch::telemetry {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kActivities[] = {"compute", "bubble", "communication", "transfer", "host_wait"};
constexpr int kTransfer = static_cast<int>(Activity::transfer);

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

Json span_event(const Span& span, int rank, int thread, double zero) {
  return {{"name", span.name},
          {"cat", kActivities[static_cast<int>(span.activity)]},
          {"ph", "X"},
          {"ts", micros(span.begin_s - zero)},
          {"dur", micros(span.end_s - span.begin_s)},
          {"pid", rank},
          {"tid", thread}};
}

Json instant_event(const Span& span, int rank, double zero) {
  return {{"name", span.name},
          {"cat", kActivities[static_cast<int>(span.activity)]},
          {"ph", "i"},
          {"s", "p"},
          {"ts", micros(span.begin_s - zero)},
          {"pid", rank},
          {"tid", 0}};
}

void add_transfers(const RankTimeline& rank, double zero, std::vector<Json>& events) {
  std::vector<Span> transfers;
  for (const Span& span : rank.spans)
    if (span.activity == Activity::transfer) transfers.push_back(span);
  std::stable_sort(transfers.begin(), transfers.end(),
                   [](const Span& a, const Span& b) { return a.begin_s < b.begin_s; });
  std::vector<double> ends;  // of what each thread has so far
  for (const Span& span : transfers) {
    auto free = std::find_if(ends.begin(), ends.end(), [&](double end) { return end <= span.begin_s; });
    const int thread = kTransfer + static_cast<int>(free - ends.begin());
    if (free == ends.end()) {
      events.push_back(name_event("thread_name", rank.rank, thread, kActivities[kTransfer]));
      free = ends.insert(free, 0);
    }
    *free = span.end_s;
    events.push_back(span_event(span, rank.rank, thread, zero));
  }
}

}  // namespace

std::string to_chrome_trace(const std::vector<RankTimeline>& ranks) {
  const double zero = first_begin(ranks);
  std::vector<Json> events;
  for (const RankTimeline& rank : ranks) {
    events.push_back(
        name_event("process_name", rank.rank, 0, "rank " + std::to_string(rank.rank) + ": " + rank.place));
    for (int thread = 0; thread < kTransfer; ++thread)
      events.push_back(name_event("thread_name", rank.rank, thread, kActivities[thread]));
    for (const Span& span : rank.spans)
      if (span.activity == Activity::host_wait)
        events.push_back(instant_event(span, rank.rank, zero));
      else if (span.activity != Activity::transfer)
        events.push_back(span_event(span, rank.rank, static_cast<int>(span.activity), zero));
    add_transfers(rank, zero, events);
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
    const double seconds = span.end_s - span.begin_s;
    switch (span.activity) {
      case Activity::compute:
        shares.compute += seconds;
        break;
      case Activity::bubble:
        shares.bubble += seconds;
        break;
      case Activity::communication:
        shares.communication += seconds;
        break;
      case Activity::transfer:
      case Activity::host_wait:
        break;
    }
  }
  return shares;
}

}  // namespace cornstarch::telemetry
