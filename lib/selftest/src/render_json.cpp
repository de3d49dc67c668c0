#include <nlohmann/json.hpp>

#include "cornstarch/selftest/selftest.h"

namespace cornstarch::selftest {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const Outcome& outcome, double bytes) {
  Json out{{"seconds", outcome.seconds},
           {"bytes_per_second", outcome.seconds > 0 ? bytes / outcome.seconds : 0.0}};
  const Wrong& wrong = outcome.wrong;
  if (wrong.count > 0)
    out["wrong"] = {
        {"elements", wrong.count}, {"first", wrong.first}, {"got", wrong.got}, {"expected", wrong.expected}};
  return out;
}

}  // namespace

std::string to_json(const Report& report) {
  const auto bytes = static_cast<double>(report.bytes);
  Json out{{"backend", report.backend},    {"bytes", report.bytes},  {"hosts", report.hosts},
           {"collectives", Json::array()}, {"links", Json::array()}, {"slow_links", Json::array()},
           {"problems", problems(report)}};
  for (const Collective& collective : report.collectives) {
    Json ranks = Json::array();
    for (const Outcome& outcome : collective.ranks)
      ranks.push_back(to_json(outcome, collective.share * bytes));
    out["collectives"].push_back({{"name", collective.name}, {"ranks", ranks}});
  }
  for (const Link& link : report.links) {
    Json each{{"from", link.from}, {"to", link.to}};
    each.update(to_json(link.outcome, bytes));
    out["links"].push_back(each);
  }
  for (const bool within_host : {true, false}) {
    const std::vector<Link> links = report.links_of(within_host);
    for (std::size_t i = 0; i < count_slow(links); ++i)
      out["slow_links"].push_back({{"from", links[i].from}, {"to", links[i].to}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace cornstarch::selftest
