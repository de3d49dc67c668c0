#include "cornstarch/dataio/probe.h"

#include <algorithm>
#include <map>
#include <set>

#include "cornstarch/base/parallel.h"
#include "cornstarch/base/random.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::int64_t kTried = 16;
constexpr std::size_t kNamed = 3;

struct Reading {
  std::optional<Error> problem;
  bool cut = false, cut_text = false;
  std::int64_t targets = 0;
};

Reading read_whole(const Dataset& data, std::int64_t sample) {
  Reading out;
  const auto row = data.text(sample);
  if (!row) return {row.error()};
  out.cut_text = row->cut;
  out.targets = std::ssize(row->labels) - std::count(row->labels.begin(), row->labels.end(), kIgnoreLabel);
  const auto encoders = static_cast<int>(data.info(sample).items.size());
  for (int e = 0; e < encoders; ++e) {
    const auto items = data.media(sample, e);
    if (!items) return {items.error()};
    for (const MediaItem& item : *items) out.cut = out.cut || item.cut;
  }
  return out;
}

/// A message without its place, names and numbers.
std::string kind_of_problem(const std::string& message) {
  const std::size_t place = message.find(": ");
  std::string out;
  bool quoted = false;
  for (const char c : message.substr(place == std::string::npos ? 0 : place)) {
    if (c == '\'') quoted = !quoted;
    if (!quoted && (c < '0' || c > '9')) out += c;
  }
  return out;
}

}  // namespace

std::vector<std::int64_t> some_samples(std::int64_t size, std::int64_t n, std::uint64_t seed) {
  n = std::min(n, size);
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < (n + 1) / 2; ++i) out.push_back(i);
  const Philox random(seed, "samples to look at");
  const std::int64_t rest = size - std::ssize(out);
  std::set<std::int64_t> drawn;
  for (std::uint64_t draw = 0; std::ssize(out) + std::ssize(drawn) < n; ++draw)
    drawn.insert(
        size - 1 -
        std::min(rest - 1, static_cast<std::int64_t>(random.uniform(draw) * static_cast<double>(rest))));
  out.insert(out.end(), drawn.begin(), drawn.end());
  return out;
}

Probe probe(const Dataset& data, const std::vector<std::int64_t>& samples, int workers) {
  std::vector<Reading> readings(samples.size());
  parallel_for(samples.size(), workers, [&](std::size_t i) { readings[i] = read_whole(data, samples[i]); });
  Probe out;
  out.samples = std::ssize(samples);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (readings[i].problem) out.problems.push_back(*readings[i].problem);
    out.targets += readings[i].targets;
    if (readings[i].cut && out.cut++ == 0) out.first_cut = samples[i];
    if (readings[i].cut_text && out.cut_texts++ == 0) out.first_cut_text = samples[i];
  }
  return out;
}

Result<void> try_samples(const Dataset& data, bool skips, std::uint64_t seed, int workers) {
  const Probe tried = probe(data, some_samples(data.size(), kTried, seed), workers);
  const auto& problems = tried.problems;
  if (problems.empty() || (skips && std::ssize(problems) < tried.samples)) return {};
  if (!skips) return tl::unexpected(problems.front());
  return fail(ExitCode::bad_data,
              cat("none of the ", tried.samples, " samples that were tried can be read. Most often:\n",
                  commonest(problems)),
              problems.front().help);
}

std::optional<Error> trouble_with(const Dataset& data, std::int64_t sample) {
  return read_whole(data, sample).problem;
}

std::string commonest(const std::vector<Error>& problems) {
  std::map<std::string, std::vector<std::string>> kinds;
  std::size_t most = 0;
  for (const Error& problem : problems) {
    auto& alike = kinds[kind_of_problem(problem.message)];
    alike.push_back(problem.message);
    most = std::max(most, alike.size());
  }
  for (const Error& problem : problems) {  // of kinds that are as many, the one that comes first
    auto& alike = kinds[kind_of_problem(problem.message)];
    if (alike.size() < most) continue;
    if (alike.size() > kNamed) alike.resize(kNamed);
    return cat("  ", join(alike, "\n  "),
               most > kNamed ? cat("\n  and ", most - kNamed, " more like these") : "");
  }
  return {};
}

}  // namespace cornstarch::dataio
