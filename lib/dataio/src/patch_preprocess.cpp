#include <algorithm>
#include <cmath>

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/preprocess.h"
#include "pixel_values.h"

namespace cornstarch::dataio {
namespace {

const std::vector<std::string> kClasses = {"Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast",
                                           "Qwen2VLImageProcessorPil"};

/// The longer side of a picture may be so many times the shorter.
constexpr std::int64_t kMostDrawnOut = 200;

/// `size` {shortest_edge, longest_edge}, which here are numbers of pixels, or min_pixels and max_pixels,
/// which go before it.
std::string read_limits(const Json& json, PatchPreprocessor& p) {
  const bool both = find(json, "min_pixels") != nullptr && find(json, "max_pixels") != nullptr;
  const Json* size = find(json, "size");
  if (size != nullptr && !both) {
    const bool whole = size->is_object() && find(*size, "shortest_edge") != nullptr &&
                       find(*size, "longest_edge") != nullptr;
    if (!whole) return "'size' must be an object with shortest_edge and longest_edge";
    std::string problem = first_problem(
        {read_key(*size, "shortest_edge", p.min_pixels), read_key(*size, "longest_edge", p.max_pixels)});
    if (!problem.empty()) return problem;
  }
  return first_problem(
      {read_key(json, "min_pixels", p.min_pixels), read_key(json, "max_pixels", p.max_pixels)});
}

std::string read_all(const Json& json, PatchPreprocessor& p) {
  return first_problem({read_key(json, "do_resize", p.do_resize), read_limits(json, p),
                        read_filter(json, p.filter), read_values(json, p),
                        read_key(json, "patch_size", p.patch_size),
                        read_key(json, "temporal_patch_size", p.temporal_patch_size),
                        read_key(json, "merge_size", p.merge_size)});
}

struct Size {
  std::int64_t width = 0, height = 0;
};

/// Hugging Face's smart_resize, in its order of operations.
Size fitted(double width, double height, const PatchPreprocessor& p) {
  const double edge = std::int64_t{p.patch_size} * p.merge_size;
  // To even where there is a choice, as Python's round.
  double w = std::nearbyint(width / edge) * edge;
  double h = std::nearbyint(height / edge) * edge;
  if (h * w > p.max_pixels) {
    const double shrink = std::sqrt(height * width / p.max_pixels);
    h = std::max(edge, std::floor(height / shrink / edge) * edge);
    w = std::max(edge, std::floor(width / shrink / edge) * edge);
  } else if (h * w < p.min_pixels) {
    const double grow = std::sqrt(p.min_pixels / (height * width));
    h = std::ceil(height * grow / edge) * edge;
    w = std::ceil(width * grow / edge) * edge;
  }
  return {std::llround(w), std::llround(h)};
}

Result<Size> size_of(std::int64_t width, std::int64_t height, const PatchPreprocessor& p) {
  const std::string picture = cat("a picture of ", width, " x ", height, " pixels");
  const std::int64_t edge = std::int64_t{p.patch_size} * p.merge_size;
  if (!p.do_resize) {
    if (width % edge == 0 && height % edge == 0) return Size{width, height};
    return fail(ExitCode::bad_data, cat(picture, " is not made of whole squares of ", edge, " x ", edge,
                                        ", and preprocessor_config.json says \"do_resize\": false"));
  }
  if (std::max(width, height) > kMostDrawnOut * std::min(width, height))
    return fail(ExitCode::bad_data, cat(picture, ": one side is more than ", kMostDrawnOut,
                                        " times the other, which ", kClasses[0], " refuses"));
  const Size size = fitted(static_cast<double>(width), static_cast<double>(height), p);
  if (size.width * size.height > ImageLimits{}.pixels)
    return fail(ExitCode::bad_data, cat(picture, " would be resized to ", size.width, " x ", size.height));
  return size;
}

std::int64_t patch_values(const PatchPreprocessor& p) {
  return std::int64_t{3} * p.temporal_patch_size * p.patch_size * p.patch_size;
}

/// The patch whose upper left corner is `corner`.
void append_patch(const Image& image, std::size_t corner, const PatchPreprocessor& p,
                  const std::array<std::array<float, 256>, 3>& table, std::vector<float>& out) {
  const auto edge = static_cast<std::size_t>(p.patch_size);
  const auto width = static_cast<std::size_t>(image.width);
  for (std::size_t c = 0; c < 3; ++c)
    for (int time = 0; time < p.temporal_patch_size; ++time)
      for (std::size_t y = 0; y < edge; ++y)
        for (std::size_t x = 0; x < edge; ++x)
          out.push_back(table[c][image.rgb[3 * (corner + y * width + x) + c]]);
}

}  // namespace

Result<PatchPreprocessor> PatchPreprocessor::parse(const std::string& json,
                                                   const std::vector<std::int64_t>& item_shape,
                                                   std::int64_t patch_block) {
  PatchPreprocessor p;
  auto content = read_preprocessor_json(json.empty() ? "{}" : json, kClasses);
  if (!content) return tl::unexpected(content.error());
  const std::string problem = read_all(*content, p);
  if (!problem.empty()) return preprocessor_failure(problem);
  const std::vector<std::int64_t> made = {3, p.temporal_patch_size, p.patch_size, p.patch_size};
  // What is within its limits can be multiplied.
  if (std::max({p.patch_size, p.temporal_patch_size, p.merge_size}) > ImageLimits{}.edge ||
      item_shape != made)
    return preprocessor_failure(cat("it makes patches of ", shape_text(made),
                                    " ([3, temporal_patch_size, patch_size, patch_size]), "
                                    "the encoder takes ",
                                    shape_text(item_shape)));
  if (p.merge_size != patch_block)
    return preprocessor_failure(
        cat("its merge_size is ", p.merge_size, ", the encoder's spatial_merge_size ", patch_block));
  return p;
}

std::string PatchPreprocessor::to_json() const {
  nlohmann::ordered_json json;
  json["image_processor_type"] = kClasses[0];
  json["do_convert_rgb"] = true;
  json["do_resize"] = do_resize;
  json["size"] = {{"shortest_edge", min_pixels}, {"longest_edge", max_pixels}};
  json["resample"] = static_cast<int>(filter);
  write_values(json, *this);
  json["patch_size"] = patch_size;
  json["temporal_patch_size"] = temporal_patch_size;
  json["merge_size"] = merge_size;
  return json.dump(2) + "\n";
}

Result<catalog::Extents> PatchPreprocessor::extents(int width, int height) const {
  const auto size = size_of(width, height, *this);
  if (!size) return tl::unexpected(size.error());
  return catalog::Extents{1, size->height / patch_size, size->width / patch_size};
}

Result<MediaItem> PatchPreprocessor::operator()(const Image& original) const {
  const auto grid = extents(original.width, original.height);
  if (!grid) return tl::unexpected(grid.error());
  const Image image = resize(original, static_cast<int>(grid->w) * patch_size,
                             static_cast<int>(grid->h) * patch_size, filter);
  MediaItem item;
  item.shape = {grid->places(), patch_values(*this)};
  item.values.reserve(static_cast<std::size_t>(item.shape[0] * item.shape[1]));
  const auto table = this->table();
  for (std::int64_t top = 0; top < grid->h; top += merge_size)
    for (std::int64_t left = 0; left < grid->w; left += merge_size)
      for (std::int64_t y = top; y < top + merge_size; ++y)
        for (std::int64_t x = left; x < left + merge_size; ++x)
          append_patch(image, static_cast<std::size_t>((y * image.width + x) * patch_size), *this, table,
                       item.values);
  return item;
}

}  // namespace cornstarch::dataio
