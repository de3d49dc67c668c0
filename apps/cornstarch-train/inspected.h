#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cornstarch/dataio/inspect.h"
#include "shown_sample.h"

namespace cornstarch::app {

/// What `data inspect` has found.
struct Inspected {
  struct Set {
    std::string key;  ///< "data.train"
    dataio::Inspection found;
    std::vector<std::string> warnings;
  };
  std::string config;  ///< its file
  std::int64_t sequence_length = 0;
  std::vector<Set> sets;
  std::optional<ShownSample> sample;  ///< of data.train
};

/// A spread that is worth a histogram, with what it is of; the same everywhere.
struct NamedSpread {
  std::string name, unit;
  const dataio::Spread* spread = nullptr;
};
std::vector<NamedSpread> spreads_of(const dataio::Inspection& found);
/// Sentences on what is cut and what is bad, for all that is there.
std::vector<std::string> remarks_on(const Inspected::Set& set, std::int64_t sequence_length);
/// "12 to 40, median 20, mean 21.3, 95 % up to 34".
std::string summary_of(const dataio::Spread& spread);
/// "34", "0.5".
std::string number(double value);
/// "0..9", or "3" where an interval holds one whole number; of seconds "0.5..0.6".
std::string range_of(const dataio::Spread::Bar& bar, const NamedSpread& of);

std::string to_text(const Inspected& inspected, std::size_t width, bool color);
nlohmann::ordered_json to_json(const Inspected& inspected);
/// One HTML document that asks for nothing outside of it; pictures are PNG inside of it.
Result<std::string> to_html(const Inspected& inspected, const std::string& made_by);

}  // namespace cornstarch::app
