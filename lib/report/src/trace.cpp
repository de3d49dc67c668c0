#include <algorithm>
#include <map>

#include "cornstarch/base/text.h"
#include "json_lines.h"
#include "run_files.h"

namespace cornstarch::report {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostTracks = 64;
constexpr double kVisible = 1.0 / 1500;  ///< of the time that is shown

double seconds_at(const Json& event, const char* key) {
  const auto found = event.find(key);
  return found != event.end() && found->is_number() ? found->get<double>() / 1e6 : 0;
}

std::string text_at(const Json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_string() ? found->get<std::string>() : "";
}

/// Of neighbours that do the same, those that nobody could tell apart become one.
void take_together(std::vector<Track::Stretch>& stretches, double shortest) {
  std::ranges::stable_sort(stretches, {}, &Track::Stretch::begin_s);
  std::vector<Track::Stretch> out;
  for (Track::Stretch& next : stretches) {
    const bool joins =
        !out.empty() && out.back().activity == next.activity && next.begin_s - out.back().end_s < shortest &&
        (next.end_s - next.begin_s < shortest || out.back().end_s - out.back().begin_s < shortest);
    if (!joins) {
      out.push_back(std::move(next));
      continue;
    }
    out.back().end_s = std::max(out.back().end_s, next.end_s);
    out.back().spans += next.spans;
  }
  stretches = std::move(out);
}

}  // namespace

void read_trace(const std::string& text, const std::string& name, Run& run) {
  const Json trace = Json::parse(text, nullptr, false);
  if (!trace.is_object() || !trace.contains("traceEvents") || !trace["traceEvents"].is_array()) {
    run.notes.push_back(cat(name, ": it is no trace and was left out"));
    return;
  }
  std::map<std::int64_t, Track> tracks;
  double end = 0;
  for (const Json& event : trace["traceEvents"]) {
    if (!event.is_object() || !event.contains("pid") || !event["pid"].is_number_integer()) continue;
    const auto rank = event["pid"].get<std::int64_t>();
    const std::string phase = text_at(event, "ph"), activity = text_at(event, "cat");
    if (phase == "M" && text_at(event, "name") == "process_name" && event.contains("args"))
      tracks[rank].name = text_at(event["args"], "name");
    if (phase != "X" || activity == "transfer") continue;
    const double begin = seconds_at(event, "ts");
    tracks[rank].stretches.push_back(
        {text_at(event, "name"), activity, begin, begin + seconds_at(event, "dur")});
    end = std::max(end, tracks[rank].stretches.back().end_s);
  }
  for (auto& [rank, track] : tracks) {
    if (run.tracks.size() == kMostTracks) {
      run.notes.push_back(cat(name, ": of ", tracks.size(), " ranks the first ", kMostTracks, " are shown"));
      break;
    }
    take_together(track.stretches, end * kVisible);
    run.tracks.push_back(std::move(track));
  }
}

}  // namespace cornstarch::report
