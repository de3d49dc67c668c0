#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/base/words.h"
#include "cornstarch/selftest/selftest.h"
#include "describe.h"

namespace cornstarch::selftest {
namespace {

template <typename... Args>
std::string print(const char* format, const Args&... args) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), format, args...);
  return text.data();
}

std::string duration(double seconds) {
  if (seconds < 1e-3) return print("%.1f us", 1e6 * seconds);
  return seconds < 1 ? print("%.2f ms", 1e3 * seconds) : print("%.2f s", seconds);
}

std::string rate(double bytes, double seconds) {
  if (bytes <= 0 || seconds <= 0) return "-";
  const double per_second = bytes / seconds;
  return per_second < 1e8 ? print("%.2f MB/s", per_second / 1e6) : print("%.2f GB/s", per_second / 1e9);
}

std::string row(const std::string& name, double bytes, double seconds, const std::string& note) {
  return print("  %-20s %11s %12s   ", name.c_str(), duration(seconds).c_str(),
               rate(bytes, seconds).c_str()) +
         note + "\n";
}

const char* kind_of(bool within_host) { return within_host ? "within a host" : "between hosts"; }

std::string host_lines(const Report& report) {
  std::vector<std::string> in_order;
  std::map<std::string, std::vector<int>> ranks;
  for (std::size_t rank = 0; rank < report.hosts.size(); ++rank) {
    std::vector<int>& there = ranks[report.hosts[rank]];
    if (there.empty()) in_order.push_back(report.hosts[rank]);
    there.push_back(static_cast<int>(rank));
  }
  const std::size_t n = report.hosts.size();
  std::string out =
      cat(n, n == 1 ? " rank" : " ranks", " on ", ranks.size(), ranks.size() == 1 ? " host" : " hosts",
          " over ", report.backend, ", ", human_bytes(static_cast<double>(report.bytes)), " at a time\n");
  for (const std::string& host : in_order) out += cat("  ", host, ": ", describe_ranks(ranks[host]), "\n");
  return out;
}

std::string between(const Report& report, const Link& link) {
  return cat(rank_of_host(report, link.from), " to ", rank_of_host(report, link.to));
}

std::string link_row(const Report& report, bool within_host) {
  const std::vector<Link> links = report.links_of(within_host);
  if (links.empty()) return "";
  return row(cat("link ", kind_of(within_host)), static_cast<double>(report.bytes), median_seconds(links),
             cat("median of ", links.size(), "; slowest ", duration(links.front().outcome.seconds), ", ",
                 between(report, links.front())));
}

/// A bad rank, or all of a bad host, rather than one link after the other: most of its links are slow.
std::string slow_ranks(const Report& report, const std::vector<Link>& links, std::size_t slow,
                       bool within_host) {
  std::map<int, std::pair<std::size_t, std::size_t>> counts;  // slow ones, all
  for (std::size_t i = 0; i < links.size(); ++i)
    for (const int end : {links[i].from, links[i].to}) {
      counts[end].first += i < slow ? 1 : 0;
      ++counts[end].second;
    }
  std::string out;
  for (const auto& [rank, count] : counts)
    if (count.second > 2 && 2 * count.first > count.second)
      out += cat("slow: ", rank_of_host(report, rank), " on ", count.first, " of its ", count.second,
                 " links ", kind_of(within_host), "\n");
  return out;
}

std::string slow_lines(const Report& report, bool within_host) {
  const std::vector<Link> links = report.links_of(within_host);
  const std::size_t slow = count_slow(links);
  std::string out = slow_ranks(report, links, slow, within_host);
  for (std::size_t i = 0; i < std::min(slow, kMostNamed); ++i)
    out += cat("slow: ", between(report, links[i]), ", ",
               rate(static_cast<double>(report.bytes), links[i].outcome.seconds), "\n");
  if (slow > kMostNamed) out += cat("slow: ", slow - kMostNamed, " more links ", kind_of(within_host), "\n");
  return out;
}

}  // namespace

std::string to_text(const Report& report) {
  std::string out = host_lines(report) + "\n";
  for (const Collective& c : report.collectives) {
    const int slowest = c.slowest();
    out +=
        row(c.name, c.share * static_cast<double>(report.bytes),
            c.ranks[static_cast<std::size_t>(slowest)].seconds, cat("last ", rank_of_host(report, slowest)));
  }
  out += link_row(report, true) + link_row(report, false) + "\n";
  const std::string slow = slow_lines(report, true) + slow_lines(report, false);
  if (report.links.empty())
    out += "one rank has no links: start more with a launcher, or with --local-ranks\n";
  else
    out += slow.empty() ? "no link takes more than twice as long as the median of its kind\n" : slow;
  return harmless(out);
}

}  // namespace cornstarch::selftest
