#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/selftest/selftest.h"
#include "describe.h"

namespace cornstarch::selftest {

int Collective::slowest() const {
  const auto slower = [](const Outcome& a, const Outcome& b) { return a.seconds < b.seconds; };
  return static_cast<int>(std::max_element(ranks.begin(), ranks.end(), slower) - ranks.begin());
}

bool Report::within_host(const Link& link) const {
  return hosts[static_cast<std::size_t>(link.from)] == hosts[static_cast<std::size_t>(link.to)];
}

std::vector<Link> Report::links_of(bool within) const {
  std::vector<Link> out;
  for (const Link& link : links)
    if (within_host(link) == within) out.push_back(link);
  const auto slower = [](const Link& a, const Link& b) { return a.outcome.seconds > b.outcome.seconds; };
  std::ranges::stable_sort(out, slower);
  return out;
}

double median_seconds(const std::vector<Link>& links) {
  return links.empty() ? 0 : links[links.size() / 2].outcome.seconds;
}

std::size_t count_slow(const std::vector<Link>& links) {
  const double most = 2 * median_seconds(links);
  const auto fast = [&](const Link& link) { return link.outcome.seconds <= most; };
  return static_cast<std::size_t>(std::ranges::find_if(links, fast) - links.begin());
}

std::string rank_of_host(const Report& report, int rank) {
  return cat("rank ", rank, " of ", report.hosts[static_cast<std::size_t>(rank)]);
}

namespace {

std::string in_words(const Wrong& wrong) {
  return cat(wrong.count, wrong.count == 1 ? " element" : " elements", "; element ", wrong.first, " is ",
             wrong.got, " instead of ", wrong.expected);
}

}  // namespace

std::vector<std::string> problems(const Report& report) {
  std::vector<std::string> out;
  for (const Collective& collective : report.collectives) {
    std::vector<int> wrong;
    for (std::size_t rank = 0; rank < collective.ranks.size(); ++rank)
      if (collective.ranks[rank].wrong.count > 0) wrong.push_back(static_cast<int>(rank));
    if (wrong.empty()) continue;
    const Outcome& first = collective.ranks[static_cast<std::size_t>(wrong.front())];
    out.push_back(cat(collective.name, " comes out wrong on ", describe_ranks(wrong), ": on ",
                      rank_of_host(report, wrong.front()), " in ", in_words(first.wrong)));
  }
  std::size_t wrong = 0;
  for (const Link& link : report.links)
    if (link.outcome.wrong.count > 0 && ++wrong <= kMostNamed)
      out.push_back(cat("what ", rank_of_host(report, link.from), " sends ", rank_of_host(report, link.to),
                        " arrives wrong: ", in_words(link.outcome.wrong)));
  if (wrong > kMostNamed) out.push_back(cat("so does what goes over ", wrong - kMostNamed, " more links"));
  return out;
}

}  // namespace cornstarch::selftest
