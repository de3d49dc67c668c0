#include "pixel_values.h"

#include <algorithm>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

std::string read_triple(const Json& json, const char* key, std::vector<double>& out) {
  const Json* value = find(json, key);
  if (value == nullptr) return {};
  if (value->is_number()) {
    out.assign(3, value->get<double>());
    return {};
  }
  const bool good = value->is_array() && value->size() == 3 &&
                    std::all_of(value->begin(), value->end(), [](const Json& v) { return v.is_number(); });
  if (!good) return cat("'", key, "' must be three numbers");
  out = value->get<std::vector<double>>();
  return {};
}

}  // namespace

std::array<std::array<float, 256>, 3> PixelValues::table() const {
  std::array<std::array<float, 256>, 3> table = {};
  for (std::size_t c = 0; c < 3; ++c) {
    // As numpy: rescaled in double precision, normalised in single.
    const auto mean = static_cast<float>(image_mean[c]);
    const auto std_dev = static_cast<float>(image_std[c]);
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto whole = static_cast<double>(byte);
      auto value = static_cast<float>(do_rescale ? whole * rescale_factor : whole);
      if (do_normalize) value = (value - mean) / std_dev;
      table[c][byte] = value;
    }
  }
  return table;
}

std::string read_filter(const Json& json, Filter& filter) {
  const Json* value = find(json, "resample");
  if (value == nullptr) return {};
  for (const Filter known : {Filter::bilinear, Filter::bicubic}) {
    if (*value != static_cast<int>(known)) continue;
    filter = known;
    return {};
  }
  return cat("'resample' ", value->dump(), " is not implemented; implemented: 2 (bilinear), 3 (bicubic)");
}

std::string read_values(const Json& json, PixelValues& v) {
  const std::string problem = first_problem(
      {read_key(json, "do_rescale", v.do_rescale), read_key(json, "rescale_factor", v.rescale_factor),
       read_key(json, "do_normalize", v.do_normalize), read_triple(json, "image_mean", v.image_mean),
       read_triple(json, "image_std", v.image_std)});
  if (!problem.empty()) return problem;
  if (std::find(v.image_std.begin(), v.image_std.end(), 0.0) != v.image_std.end())
    return "'image_std' must not contain 0";
  return {};
}

void write_values(nlohmann::ordered_json& json, const PixelValues& v) {
  json["do_rescale"] = v.do_rescale;
  json["rescale_factor"] = v.rescale_factor;
  json["do_normalize"] = v.do_normalize;
  json["image_mean"] = v.image_mean;
  json["image_std"] = v.image_std;
}

}  // namespace cornstarch::dataio
