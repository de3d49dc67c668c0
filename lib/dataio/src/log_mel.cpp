#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <numbers>

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/preprocess.h"
#include "fourier.h"
#include "preprocessor_json.h"

namespace cornstarch::dataio {
namespace {

constexpr double kMaxHertz = 8000;  // WhisperFeatureExtractor's, whatever the sampling rate
const std::vector<std::string> kClasses = {"WhisperFeatureExtractor"};

/// Slaney's scale: linear up to 1 kHz (15 mel), logarithmic above.
double mel_of(double hertz) {
  if (hertz < 1000) return 3 * hertz / 200;
  return 15 + std::log(hertz / 1000) * (27 / std::log(6.4));
}
double hertz_of(double mel) {
  if (mel < 15) return 200 * mel / 3;
  return 1000 * std::exp(std::log(6.4) / 27 * (mel - 15));
}

/// One triangle over the frequency bins, as far as it is not 0.
struct MelFilter {
  std::size_t first = 0;
  std::vector<double> weights;
};

std::vector<MelFilter> mel_filters(const LogMel::Options& o) {
  const int bins = o.n_fft / 2 + 1;
  std::vector<double> edges;
  edges.reserve(static_cast<std::size_t>(o.feature_size) + 2);
  const double top = mel_of(kMaxHertz);
  for (int i = 0; i < o.feature_size + 2; ++i) edges.push_back(hertz_of(top * i / (o.feature_size + 1)));
  const int highest = o.sampling_rate / 2;  // in whole hertz, as Hugging Face has it
  const double bin_width = static_cast<double>(highest) / (bins - 1);

  std::vector<MelFilter> filters(static_cast<std::size_t>(o.feature_size));
  for (std::size_t m = 0; m < filters.size(); ++m) {
    const double low = edges[m], peak = edges[m + 1], high = edges[m + 2];
    for (int bin = 0; bin < bins; ++bin) {
      const double hertz = bin * bin_width;
      const double height = std::min((hertz - low) / (peak - low), (high - hertz) / (high - peak));
      if (height <= 0) continue;
      if (filters[m].weights.empty()) filters[m].first = static_cast<std::size_t>(bin);
      filters[m].weights.push_back(height * 2 / (high - low));
    }
  }
  return filters;
}

std::string read_options(const Json& json, LogMel::Options& o) {
  int chunk_length = 30;
  double padding_value = 0, dither = 0, n_samples = 0;
  std::string problem = first_problem(
      {read_key(json, "feature_size", o.feature_size), read_key(json, "sampling_rate", o.sampling_rate),
       read_key(json, "hop_length", o.hop_length), read_key(json, "n_fft", o.n_fft),
       read_key(json, "chunk_length", chunk_length), read_key(json, "padding_value", padding_value),
       read_key(json, "dither", dither), read_key(json, "n_samples", n_samples)});
  if (!problem.empty()) return problem;
  if (dither != 0) return "'dither' is not implemented";
  const Json* side = find(json, "padding_side");
  if (side != nullptr && side->dump() != "\"right\"")
    return cat("'padding_side' ", side->dump(), " is not implemented");
  o.padding_value = static_cast<float>(padding_value);
  o.n_samples = std::int64_t{chunk_length} * o.sampling_rate;
  // Of no whole seconds: to_json() rounds chunk_length up.
  if (std::ceil(n_samples / o.sampling_rate) == chunk_length) o.n_samples = std::llround(n_samples);
  return {};
}

/// Two frames, and room to transform them.
struct Spectra {
  explicit Spectra(std::size_t n_fft) : in(n_fft), out(n_fft) {
    for (auto& each : power) each.resize(n_fft / 2 + 1);
  }
  std::vector<std::complex<double>> in, out;
  std::array<std::vector<double>, 2> power;
};

}  // namespace

struct LogMel::State {
  explicit State(const Options& o)
      : options(o), transform(static_cast<std::size_t>(o.n_fft)), filters(mel_filters(o)) {
    for (int i = 0; i < o.n_fft; ++i)
      window.push_back(0.5 - 0.5 * std::cos(2 * std::numbers::pi * i / o.n_fft));
  }

  std::size_t frames() const { return static_cast<std::size_t>(options.n_samples / options.hop_length); }

  /// Sample `at` of the recording mirrored at both ends.
  float mirrored(const std::vector<float>& samples, std::int64_t at) const {
    const std::int64_t last = options.n_samples - 1;
    if (at < 0) at = -at;
    if (at > last) at = 2 * last - at;
    return samples[static_cast<std::size_t>(at)];
  }

  /// The power of each frequency bin around sample frame * hop_length, and in the frame behind it: what is
  /// real and what is imaginary in one transform's input comes apart by the symmetry of its output.
  void spectra(const std::vector<float>& samples, std::size_t frame, Spectra& s) const {
    const std::int64_t hop = options.hop_length;
    const std::int64_t begin = static_cast<std::int64_t>(frame) * hop - options.n_fft / 2;
    for (std::size_t i = 0; i < s.in.size(); ++i) {
      const std::int64_t at = begin + static_cast<std::int64_t>(i);
      s.in[i] = {window[i] * static_cast<double>(mirrored(samples, at)),
                 window[i] * static_cast<double>(mirrored(samples, at + hop))};
    }
    transform(s.in, s.out);
    for (std::size_t bin = 0; bin < s.power[0].size(); ++bin) {
      const std::complex<double> a = s.out[bin], b = std::conj(s.out[bin == 0 ? 0 : s.out.size() - bin]);
      s.power[0][bin] = std::norm(a + b) / 4;
      s.power[1][bin] = std::norm(a - b) / 4;
    }
  }

  Options options;
  FourierTransform transform;
  std::vector<MelFilter> filters;
  std::vector<double> window;
};

LogMel::LogMel(std::unique_ptr<State> state) : state_(std::move(state)) {}
LogMel::LogMel(LogMel&&) noexcept = default;
LogMel& LogMel::operator=(LogMel&&) noexcept = default;
LogMel::~LogMel() = default;
const LogMel::Options& LogMel::options() const { return state_->options; }

Result<LogMel> LogMel::make(const Options& o) {
  if (o.n_fft < 2 || o.n_fft > (1 << 16) || o.n_samples <= o.n_fft / 2 || o.n_samples < o.hop_length)
    return preprocessor_failure(cat("recordings of ", o.n_samples, " samples are too short for n_fft ",
                                    o.n_fft, " and hop_length ", o.hop_length));
  if (o.n_samples > (std::int64_t{1} << 28))
    return preprocessor_failure(cat("recordings of ", o.n_samples, " samples are too long"));
  return LogMel(std::make_unique<State>(o));
}

Result<LogMel> LogMel::parse(const std::string& json, const std::vector<std::int64_t>& item_shape) {
  if (item_shape.size() != 2 || item_shape[0] < 1 || item_shape[1] < 1 || item_shape[0] > 4096 ||
      item_shape[1] > (1 << 20))
    return preprocessor_failure(
        cat("recordings cannot be prepared as ", shape_text(item_shape), "; [mels, frames] can"));
  Options options;
  if (json.empty()) {
    options.feature_size = static_cast<int>(item_shape[0]);
    options.n_samples = item_shape[1] * options.hop_length;
    return make(options);
  }
  auto content = read_preprocessor_json(json, kClasses);
  if (!content) return tl::unexpected(content.error());
  const std::string problem = read_options(*content, options);
  if (!problem.empty()) return preprocessor_failure(problem);
  const std::vector<std::int64_t> shape = {options.feature_size, options.n_samples / options.hop_length};
  if (shape != item_shape)
    return preprocessor_failure(
        cat("it makes recordings of ", shape_text(shape), ", the encoder takes ", shape_text(item_shape)));
  return make(options);
}

std::string LogMel::to_json() const {
  const Options& o = state_->options;
  nlohmann::ordered_json json;
  json["feature_extractor_type"] = "WhisperFeatureExtractor";
  json["feature_size"] = o.feature_size;
  json["sampling_rate"] = o.sampling_rate;
  json["hop_length"] = o.hop_length;
  json["chunk_length"] = (o.n_samples + o.sampling_rate - 1) / o.sampling_rate;
  json["n_samples"] = o.n_samples;
  json["nb_max_frames"] = o.n_samples / o.hop_length;
  json["n_fft"] = o.n_fft;
  json["padding_side"] = "right";
  json["padding_value"] = o.padding_value;
  json["return_attention_mask"] = false;
  return json.dump(2) + "\n";
}

Result<MediaItem> LogMel::operator()(Audio audio) const {
  const Options& o = state_->options;
  if (audio.rate != o.sampling_rate)
    return fail(ExitCode::internal, cat("a recording at ", audio.rate, " Hz, not ", o.sampling_rate));
  std::vector<float>& samples = audio.samples;
  MediaItem item;
  item.cut = std::ssize(samples) > o.n_samples + o.hop_length;
  samples.resize(static_cast<std::size_t>(o.n_samples), o.padding_value);

  const std::size_t frames = state_->frames();
  item.shape = {o.feature_size, static_cast<std::int64_t>(frames)};
  item.values.resize(state_->filters.size() * frames);
  Spectra spectra(static_cast<std::size_t>(o.n_fft));
  for (std::size_t frame = 0; frame < frames; ++frame) {
    if (frame % 2 == 0) state_->spectra(samples, frame, spectra);
    const std::vector<double>& power = spectra.power[frame % 2];
    for (std::size_t m = 0; m < state_->filters.size(); ++m) {
      const MelFilter& filter = state_->filters[m];
      double sum = 0;
      for (std::size_t i = 0; i < filter.weights.size(); ++i)
        sum += filter.weights[i] * power[filter.first + i];
      item.values[m * frames + frame] = static_cast<float>(std::log10(std::max(sum, 1e-10)));
    }
  }
  const float floor = *std::max_element(item.values.begin(), item.values.end()) - 8.0F;
  for (float& value : item.values) value = (std::max(value, floor) + 4.0F) / 4.0F;
  return item;
}

}  // namespace cornstarch::dataio
