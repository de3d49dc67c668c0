#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/catalog/extents.h"
#include "cornstarch/dataio/audio.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/image.h"

/// What turns a picture or a recording into an encoder's input, as the Hugging Face processor of the same
/// preprocessor_config.json does it. A key that would change the result and is not implemented is refused by
/// name.
namespace cornstarch::dataio {

/// What becomes of a picture's bytes, by their colour.
struct PixelValues {
  bool do_rescale = true;
  double rescale_factor = 1.0 / 255.0;
  bool do_normalize = true;
  std::vector<double> image_mean = {0.48145466, 0.4578275, 0.40821073};
  std::vector<double> image_std = {0.26862954, 0.26130258, 0.27577711};

  /// Of each colour's 256 bytes.
  std::array<std::array<float, 256>, 3> table() const;
};

/// CLIPImageProcessor, SiglipImageProcessor and BitImageProcessor (the PIL ones): resize, centre crop,
/// rescale, normalise.
struct ImagePreprocessor : PixelValues {
  std::string processor = "CLIPImageProcessor";
  bool do_resize = true;
  int shortest_edge = 224;  ///< 0: resize to resize_height x resize_width
  int resize_height = 0, resize_width = 0;
  Filter filter = Filter::bicubic;
  bool do_center_crop = true;
  int crop_height = 224, crop_width = 224;

  /// `json` is the text of preprocessor_config.json, "" for the defaults at the size of `item_shape` [3, H,
  /// W].
  static Result<ImagePreprocessor> parse(const std::string& json,
                                         const std::vector<std::int64_t>& item_shape);

  /// The text of a preprocessor_config.json that says the same.
  std::string to_json() const;

  Result<MediaItem> operator()(const Image& image) const;

  std::vector<std::int64_t> item_shape;  ///< what must come out
};

/// Qwen2VLImageProcessor (the PIL one): a picture keeps its size and proportions as far as whole squares of
/// patches and limits on its pixels allow. Patches come square by square, `merge_size` of them a side, and
/// each `temporal_patch_size` times over: a picture is a film that stands still.
struct PatchPreprocessor : PixelValues {
  bool do_resize = true;
  int min_pixels = 56 * 56, max_pixels = 28 * 28 * 1280;
  Filter filter = Filter::bicubic;
  int patch_size = 14, temporal_patch_size = 2, merge_size = 2;

  /// `json` as above; `item_shape` is that of a patch, [3, times, size, size], and so many patches a side
  /// must come together.
  static Result<PatchPreprocessor> parse(const std::string& json, const std::vector<std::int64_t>& item_shape,
                                         std::int64_t patch_block);

  /// The text of a preprocessor_config.json that says the same.
  std::string to_json() const;

  /// Patches that a picture of this size becomes.
  Result<catalog::Extents> extents(int width, int height) const;
  /// [patches, values of each].
  Result<MediaItem> operator()(const Image& image) const;
};

/// WhisperFeatureExtractor: log-mel spectrogram of a recording padded or cut to n_samples.
class LogMel {
 public:
  struct Options {
    int feature_size = 80;
    int sampling_rate = 16000;
    int hop_length = 160;
    int n_fft = 400;
    std::int64_t n_samples = 480000;  ///< 30 s
    float padding_value = 0;
  };

  /// `json` is the text of preprocessor_config.json, "" for the defaults at the length of `item_shape` [mels,
  /// frames].
  static Result<LogMel> parse(const std::string& json, const std::vector<std::int64_t>& item_shape);
  static Result<LogMel> make(const Options& options);

  LogMel(LogMel&&) noexcept;
  LogMel& operator=(LogMel&&) noexcept;
  ~LogMel();

  const Options& options() const;
  /// The text of a preprocessor_config.json that says the same. Where n_samples are no whole seconds,
  /// WhisperFeatureExtractor, which knows chunk_length only, makes more frames; parse() reads n_samples.
  std::string to_json() const;
  /// Of a recording at sampling_rate.
  Result<MediaItem> operator()(Audio audio) const;

 private:
  struct State;
  explicit LogMel(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cornstarch::dataio
