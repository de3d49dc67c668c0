#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cornstarch/dataio/conversations.h"

namespace cornstarch::app {

/// A sample as the model sees it.
struct ShownSample {
  /// Tokens that follow one another and are of one kind: text, text that is learnt, or the features of an
  /// item.
  struct Stretch {
    std::int64_t first = 0;  ///< token of the row, from 0
    bool learnt = false;
    int item = -1;  ///< of `items`; -1: text
    std::vector<std::int64_t> ids;
    std::vector<std::string> texts;  ///< one for each id; of features none
  };
  struct Item {
    std::string placeholder;
    dataio::MediaFile file;
    std::vector<std::int64_t> shape;  ///< of what the encoder gets
    bool cut = false;                 ///< the recording is longer than that
    dataio::Image picture;            ///< of what the encoder gets
  };

  std::int64_t number = 0;  ///< in the data set, from 1
  std::string place;
  std::int64_t tokens = 0, learnt = 0, cut_off = 0;  ///< in the row, and behind its end
  std::vector<Stretch> stretches;
  std::vector<Item> items;
};

/// Errors are those of the data set, which name the sample's place.
Result<ShownSample> show_sample(const dataio::ConversationDataset& data, std::int64_t number);

/// Lines of at most `width` columns; what is learnt stands behind a `>`, in colour if wanted.
std::string to_text(const ShownSample& sample, std::size_t width, bool color);
nlohmann::ordered_json to_json(const ShownSample& sample);

/// "seven.png, 28 x 28 pixels, 16 patches", "a.wav, 3.2 s".
std::string describe(const ShownSample::Item& item);

}  // namespace cornstarch::app
