#include "state_json.h"

#include <algorithm>

namespace cornstarch::control {
namespace {

constexpr std::size_t kMostStateBytes = 56 << 10;

constexpr long long kMost = 1LL << 53;

long long long_in(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_integer()) return 0;
  return std::clamp(found->get<long long>(), -kMost, kMost);
}

std::vector<int> ranks_in(const Json& json, const char* name) {
  std::vector<int> ranks;
  const auto found = json.find(name);
  if (found == json.end() || !found->is_array()) return ranks;
  for (const Json& rank : *found) {
    if (rank.is_number_integer()) ranks.push_back(rank.get<int>());
  }
  return ranks;
}

Calls calls_in(const Json& json) {
  Calls calls{text_in(json, "group"),
              ranks_in(json, "ranks"),
              json.find("collective") == json.end() || json["collective"] == true,
              {}};
  long long index = long_in(json, "first");
  const auto found = json.find("last");
  if (found == json.end() || !found->is_array()) return calls;
  for (const Json& what : *found)
    calls.last.push_back({index++, what.is_string() ? what.get<std::string>() : ""});
  return calls;
}

Json to_json(const Calls& calls) {
  Json last = Json::array();
  for (const Call& call : calls.last) last.push_back(call.what);
  return {{"group", calls.group},
          {"ranks", calls.ranks},
          {"collective", calls.collective},
          {"first", calls.last.empty() ? 0 : calls.last.front().index},
          {"last", std::move(last)}};
}

}  // namespace

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string text_in(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int number_in(const Json& json, const char* name) { return static_cast<int>(long_in(json, name)); }

Json to_json(const Wait& wait) {
  return {{"for", wait.ranks},
          {"op", wait.op},
          {"group", wait.group},
          {"index", wait.index},
          {"seconds", wait.seconds}};
}

Wait wait_in(const Json& json) {
  const auto seconds = json.find("seconds");
  return {ranks_in(json, "for"), text_in(json, "op"), text_in(json, "group"), long_in(json, "index"),
          seconds != json.end() && seconds->is_number() ? seconds->get<double>() : 0.0};
}

Json to_json(const RankState& state) {
  Json json{{"step", state.step}, {"phase", state.phase}};
  if (!state.left_out.empty()) json["left_out"] = state.left_out;
  if (state.wait) json["waits"] = to_json(*state.wait);
  Json calls = Json::array();
  std::size_t bytes = text_of(json).size();
  for (const Calls& each : state.calls) {
    Json next = to_json(each);
    bytes += text_of(next).size();
    if (bytes > kMostStateBytes) break;
    calls.push_back(std::move(next));
  }
  json["calls"] = std::move(calls);
  return json;
}

RankState state_in(const Json& json) {
  RankState state{
      number_in(json, "step"), text_in(json, "phase"), std::nullopt, {}, text_in(json, "left_out")};
  const auto waits = json.find("waits"), calls = json.find("calls");
  if (waits != json.end() && waits->is_object()) state.wait = wait_in(*waits);
  if (calls == json.end() || !calls->is_array()) return state;
  for (const Json& each : *calls) {
    if (each.is_object()) state.calls.push_back(calls_in(each));
  }
  return state;
}

Json to_json(const RankFailure& failure) {
  return {{"rank", failure.rank}, {"host", failure.host}, {"code", failure.code},
          {"step", failure.step}, {"op", failure.op},     {"msg", failure.cause}};
}

std::string failure_report(const RankFailure& failure, const std::map<int, RankState>& states) {
  Json json = to_json(failure);
  json["ranks"] = Json::array();
  for (const auto& [rank, state] : states) {
    Json each{{"rank", rank}};
    each.update(to_json(state));
    json["ranks"].push_back(std::move(each));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

RankFailure failure_in(const Json& json) {
  return {number_in(json, "rank"), number_in(json, "code"), text_in(json, "host"),
          text_in(json, "msg"),    number_in(json, "step"), text_in(json, "op")};
}

}  // namespace cornstarch::control
