#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/preprocess.h"
#include "pixel_values.h"

namespace cornstarch::dataio {
namespace {

const std::vector<std::string> kClasses = {
    "CLIPImageProcessor",    "CLIPImageProcessorFast",   "CLIPImageProcessorPil",   "CLIPFeatureExtractor",
    "SiglipImageProcessor",  "SiglipImageProcessorFast", "SiglipImageProcessorPil", "BitImageProcessor",
    "BitImageProcessorFast", "BitImageProcessorPil"};

/// What a class does where its file is silent: SigLIP's stretches the whole picture, CLIP's and BiT's cut its
/// middle out.
ImagePreprocessor defaults_of(const Json& json) {
  ImagePreprocessor p;
  const Json* type = find(json, "image_processor_type");
  const std::string name = type == nullptr ? "" : type->get<std::string>();
  if (name.rfind("Bit", 0) == 0) p.processor = "BitImageProcessor";
  if (name.rfind("Siglip", 0) != 0) return p;
  p.processor = "SiglipImageProcessor";
  p.shortest_edge = 0;
  p.resize_height = p.resize_width = 224;
  p.do_center_crop = false;
  p.image_mean = p.image_std = {0.5, 0.5, 0.5};
  return p;
}

/// `size`: a number or {shortest_edge} (the shorter edge becomes that long), or {height, width}.
std::string read_size(const Json& json, ImagePreprocessor& p) {
  const Json* size = find(json, "size");
  if (size == nullptr) return {};
  if (size->is_number()) return read_key(json, "size", p.shortest_edge);
  if (!size->is_object()) return cat("'size' must be a number or an object, not ", kind_of(*size));
  if (find(*size, "longest_edge") != nullptr) return "'size.longest_edge' is not implemented";
  if (find(*size, "shortest_edge") != nullptr) return read_key(*size, "shortest_edge", p.shortest_edge);
  p.shortest_edge = 0;
  std::string problem =
      first_problem({read_key(*size, "height", p.resize_height), read_key(*size, "width", p.resize_width)});
  if (!problem.empty()) return problem;
  if (p.resize_height == 0 || p.resize_width == 0) return "'size' needs shortest_edge, or height and width";
  return {};
}

std::string read_crop_size(const Json& json, ImagePreprocessor& p) {
  const Json* size = find(json, "crop_size");
  if (size == nullptr) return {};
  if (size->is_number()) {
    std::string problem = read_key(json, "crop_size", p.crop_height);
    p.crop_width = p.crop_height;
    return problem;
  }
  if (find(*size, "height") == nullptr || find(*size, "width") == nullptr)
    return "'crop_size' must be a number, or an object with height and width";
  std::string problem = read_key(*size, "height", p.crop_height);
  return problem.empty() ? read_key(*size, "width", p.crop_width) : problem;
}

std::string read_all(const Json& json, ImagePreprocessor& p) {
  for (const char* key : {"do_pad", "use_square_size"}) {
    bool value = false;
    std::string problem = read_key(json, key, value);
    if (!problem.empty()) return problem;
    if (value) return cat("'", key, "' is not implemented");
  }
  return first_problem({read_key(json, "do_resize", p.do_resize), read_size(json, p),
                        read_filter(json, p.filter), read_key(json, "do_center_crop", p.do_center_crop),
                        read_crop_size(json, p), read_values(json, p)});
}

/// The shape that comes out of any picture, where the config fixes it.
std::vector<std::int64_t> fixed_shape(const ImagePreprocessor& p) {
  if (p.do_center_crop) return {3, p.crop_height, p.crop_width};
  if (p.do_resize && p.shortest_edge == 0) return {3, p.resize_height, p.resize_width};
  return {};
}

Result<Image> resized(const Image& image, const ImagePreprocessor& p) {
  if (!p.do_resize) return image;
  std::int64_t width = p.resize_width;
  std::int64_t height = p.resize_height;
  if (p.shortest_edge > 0) {
    // As Hugging Face computes it: a product of whole numbers, divided in floating point, cut.
    const auto longer = [&](int of, int shorter) {
      return static_cast<std::int64_t>(static_cast<double>(std::int64_t{p.shortest_edge} * of) / shorter);
    };
    const bool upright = image.width <= image.height;
    width = upright ? p.shortest_edge : longer(image.width, image.height);
    height = upright ? longer(image.height, image.width) : p.shortest_edge;
  }
  if (width * height > ImageLimits{}.pixels)
    return fail(ExitCode::bad_data, cat("a picture of ", image.width, " x ", image.height,
                                        " pixels would be resized to ", width, " x ", height));
  return resize(image, static_cast<int>(width), static_cast<int>(height), p.filter);
}

}  // namespace

Result<ImagePreprocessor> ImagePreprocessor::parse(const std::string& json,
                                                   const std::vector<std::int64_t>& item_shape) {
  if (item_shape.size() != 3 || item_shape[0] != 3 || item_shape[1] < 1 || item_shape[2] < 1 ||
      std::max(item_shape[1], item_shape[2]) > ImageLimits{}.edge)
    return preprocessor_failure(
        cat("pictures cannot be prepared as ", shape_text(item_shape), "; [3, height, width] can"));
  ImagePreprocessor p;
  p.item_shape = item_shape;
  if (json.empty()) {
    p.crop_height = static_cast<int>(item_shape[1]);
    p.crop_width = static_cast<int>(item_shape[2]);
    p.shortest_edge = std::max(p.crop_height, p.crop_width);
    return p;
  }
  auto content = read_preprocessor_json(json, kClasses);
  if (!content) return tl::unexpected(content.error());
  p = defaults_of(*content);
  p.item_shape = item_shape;
  const std::string problem = read_all(*content, p);
  if (!problem.empty()) return preprocessor_failure(problem);
  const auto shape = fixed_shape(p);
  if (!shape.empty() && shape != item_shape)
    return preprocessor_failure(
        cat("it makes pictures of ", shape_text(shape), ", the encoder takes ", shape_text(item_shape)));
  return p;
}

std::string ImagePreprocessor::to_json() const {
  nlohmann::ordered_json json;
  json["image_processor_type"] = processor;
  json["do_convert_rgb"] = true;
  json["do_resize"] = do_resize;
  if (shortest_edge > 0) {
    json["size"] = {{"shortest_edge", shortest_edge}};
  } else {
    json["size"] = {{"height", resize_height}, {"width", resize_width}};
  }
  json["resample"] = static_cast<int>(filter);
  json["do_center_crop"] = do_center_crop;
  if (do_center_crop) json["crop_size"] = {{"height", crop_height}, {"width", crop_width}};
  write_values(json, *this);
  return json.dump(2) + "\n";
}

Result<MediaItem> ImagePreprocessor::operator()(const Image& original) const {
  auto image = resized(original, *this);
  if (!image) return tl::unexpected(image.error());
  if (do_center_crop) *image = center_crop(*image, crop_width, crop_height);
  MediaItem item;
  item.shape = {3, image->height, image->width};
  if (item.shape != item_shape)
    return fail(ExitCode::bad_data, cat("the picture becomes ", shape_text(item.shape),
                                        ", the encoder takes ", shape_text(item_shape)));
  const std::size_t pixels = image->rgb.size() / 3;
  item.values.resize(image->rgb.size());
  const auto table = this->table();
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < pixels; ++i) item.values[c * pixels + i] = table[c][image->rgb[3 * i + c]];
  return item;
}

}  // namespace cornstarch::dataio
