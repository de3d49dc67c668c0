#include "cornstarch/dataio/preprocess.h"
#include "input.h"

/// Any preprocessor_config.json makes of media what the encoder takes, or is refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch::dataio;
  using cornstarch::fuzz::require;
  const std::string json(reinterpret_cast<const char*>(data), size);
  const std::vector<std::int64_t> picture = {3, 12, 12}, sound = {8, 100};
  if (const auto pictures = ImagePreprocessor::parse(json, picture)) {
    Image image{9, 5, std::vector<std::uint8_t>(3 * 9 * 5, 77)};
    const auto item = (*pictures)(image);
    require(!item || (item->shape == picture && item->values.size() == 3 * 12 * 12));
    require(ImagePreprocessor::parse(pictures->to_json(), picture).has_value());
  }
  const std::vector<std::int64_t> patch = {3, 2, 4, 4};
  for (const std::int64_t block : {2, 3})
    if (const auto patches = PatchPreprocessor::parse(json, patch, block)) {
      const auto grid = patches->extents(9, 5);
      // No more than a few values are made of a few pixels, unless asked for.
      if (grid && grid->places() <= 10000) {
        const auto item = (*patches)(Image{9, 5, std::vector<std::uint8_t>(3 * 9 * 5, 77)});
        require(item && item->shape == std::vector<std::int64_t>{grid->places(), 96} &&
                std::ssize(item->values) == grid->places() * 96);
      }
      require(PatchPreprocessor::parse(patches->to_json(), patch, block).has_value());
    }
  if (const auto mel = LogMel::parse(json, sound)) {
    const auto item = (*mel)(Audio{mel->options().sampling_rate, std::vector<float>(1000, 0.5F)});
    require(!item || (item->shape == sound && item->values.size() == 800));
    require(LogMel::parse(mel->to_json(), sound).has_value());
  }
  return 0;
}
