#include "inspected.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"

namespace cornstarch::app {
namespace {

using Json = nlohmann::ordered_json;
using dataio::Inspection;
using dataio::Spread;

constexpr int kBars = 12;
constexpr const char* kSeconds = "seconds";

std::string bars(const NamedSpread& of, std::size_t width) {
  const auto all = of.spread->bars(kBars);
  std::int64_t most = 1;
  std::size_t widest = 0;
  for (const Spread::Bar& bar : all) {
    most = std::max(most, bar.count);
    widest = std::max(widest, range_of(bar, of).size());
  }
  const std::size_t room = std::min<std::size_t>(40, width - std::min(width, widest + 18) + 1);
  std::string out;
  for (const Spread::Bar& bar : all) {
    const auto filled =
        static_cast<std::size_t>((bar.count * static_cast<std::int64_t>(room) + most - 1) / most);
    const std::string range = range_of(bar, of);
    out += cat("    ", std::string(widest - range.size(), ' '), range, "  ", std::string(filled, '#'),
               filled > 0 ? " " : "", bar.count, "\n");
  }
  return out;
}

std::string to_text(const Inspected::Set& set, std::int64_t sequence_length, std::size_t width) {
  const Inspection& found = set.found;
  std::string out =
      cat(set.key, ": ", found.samples, " samples in an epoch, ", found.looked_at, " looked at\n");
  for (const std::string& remark : remarks_on(set, sequence_length))
    for (const std::string& line : split(remark, '\n')) out += cat("  ", harmless(line), "\n");
  for (const NamedSpread& each : spreads_of(found)) {
    out += cat("\n  ", each.name, each.unit.empty() ? "" : cat(" (", each.unit, ")"), ": ",
               summary_of(*each.spread), "\n");
    if (each.spread->min() < each.spread->max()) out += bars(each, width);
  }
  return out + "\n";
}

Json to_json(const Spread& spread) {
  Json histogram = Json::array();
  for (const Spread::Bar& bar : spread.bars(kBars))
    histogram.push_back({{"from", bar.from}, {"to", bar.to}, {"count", bar.count}});
  return {{"count", spread.count()},
          {"min", spread.min()},
          {"max", spread.max()},
          {"mean", spread.mean()},
          {"median", spread.quantile(0.5)},
          {"p95", spread.quantile(0.95)},
          {"histogram", std::move(histogram)}};
}

Json to_json(const dataio::Seen& seen) {
  Json out = {{"samples", seen.samples}};
  if (seen.samples > 0) out["first"] = seen.first;
  return out;
}

Json to_json(const Inspected::Set& set) {
  const Inspection& found = set.found;
  Json out = {{"samples", found.samples},      {"looked_at", found.looked_at}, {"warnings", set.warnings},
              {"bad", to_json(found.bad)},     {"problems", Json::array()},    {"cut", to_json(found.cut)},
              {"tokens_cut", found.tokens_cut}};
  for (const Error& problem : found.problems)
    out["problems"].push_back({{"message", problem.message}, {"help", problem.help}});
  for (const Inspection::Encoder& encoder : found.encoders)
    out["recordings_cut"][encoder.placeholder] = to_json(encoder.cut);
  for (const NamedSpread& each : spreads_of(found)) out["spreads"][each.name] = to_json(*each.spread);
  return out;
}

}  // namespace

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string range_of(const Spread::Bar& bar, const NamedSpread& of) {
  const double last = of.unit == kSeconds ? bar.to : bar.to - 1;
  return bar.from == last ? number(bar.from) : cat(number(bar.from), "..", number(last));
}

std::string summary_of(const Spread& spread) {
  if (spread.count() == 0) return "none";
  if (spread.min() == spread.max()) return cat(number(spread.min()), " in all ", spread.count());
  char mean[32];
  std::snprintf(mean, sizeof mean, "%.3g", spread.mean());
  return cat(number(spread.min()), " to ", number(spread.max()), ", median ", number(spread.quantile(0.5)),
             ", mean ", spread.mean() < 1000 ? mean : number(std::llround(spread.mean())), ", 95 % up to ",
             number(spread.quantile(0.95)));
}

std::vector<NamedSpread> spreads_of(const Inspection& found) {
  std::vector<NamedSpread> out = {{"tokens of a sample", "text and features", &found.tokens},
                                  {"text of a sample", "tokens", &found.text_tokens},
                                  {"learnt of a sample", "tokens", &found.learnt}};
  for (const Inspection::Encoder& e : found.encoders) {
    const bool image = e.kind == dataio::MediaKind::image;
    out.push_back({cat(e.placeholder, " in a sample"), image ? "pictures" : "recordings", &e.items});
    if (e.width.count() > 0) out.push_back({cat(e.placeholder, " width"), "pixels", &e.width});
    if (e.height.count() > 0) out.push_back({cat(e.placeholder, " height"), "pixels", &e.height});
    if (e.seconds.count() > 0) out.push_back({cat(e.placeholder, " length"), kSeconds, &e.seconds});
    if (e.places.count() > 0)
      out.push_back({cat(e.placeholder, " extent"), image ? "patches" : "frames", &e.places});
    if (e.features.count() > 0) out.push_back({cat(e.placeholder, " features"), "", &e.features});
  }
  return out;
}

std::vector<std::string> remarks_on(const Inspected::Set& set, std::int64_t sequence_length) {
  const Inspection& found = set.found;
  std::vector<std::string> out;
  const auto share = [&](const dataio::Seen& seen) {
    char percent[32];
    std::snprintf(percent, sizeof percent, "%.3g %%",
                  100.0 * static_cast<double>(seen.samples) / static_cast<double>(found.looked_at));
    return cat(seen.samples, seen.samples == 1 ? " sample (" : " samples (", percent, ", first ", seen.first,
               ")");
  };
  if (found.cut.samples > 0)
    out.push_back(cat(share(found.cut), ": longer than batch.sequence_length, ", sequence_length, "; ",
                      found.tokens_cut, " tokens are cut off"));
  for (const Inspection::Encoder& e : found.encoders)
    if (e.cut.samples > 0)
      out.push_back(
          cat(share(e.cut), ": a recording is longer than the encoder of ", e.placeholder, " takes"));
  if (found.bad.samples > 0)
    out.push_back(cat(share(found.bad), ": bad",
                      found.bad.samples > std::ssize(found.problems)
                          ? cat("; the first ", found.problems.size(), " are")
                          : "",
                      ":"));
  for (const Error& problem : found.problems)
    out.push_back(cat("  ", problem.message, problem.help.empty() ? "" : cat(" (", problem.help, ")")));
  for (const std::string& warning : set.warnings) {
    const bool lists_bad = warning.find('\n') != std::string::npos;  // each of them has been looked at, too
    if (!lists_bad || found.looked_at < found.samples) out.push_back(warning);
  }
  return out;
}

std::string to_text(const Inspected& inspected, std::size_t width, bool color) {
  std::string out;
  for (const Inspected::Set& set : inspected.sets) out += to_text(set, inspected.sequence_length, width);
  if (inspected.sample) out += to_text(*inspected.sample, width, color);
  return out;
}

Json to_json(const Inspected& inspected) {
  Json out = {{"config", inspected.config}, {"sequence_length", inspected.sequence_length}};
  for (const Inspected::Set& set : inspected.sets) out[set.key] = to_json(set);
  if (inspected.sample) out["sample"] = to_json(*inspected.sample);
  return out;
}

}  // namespace cornstarch::app
