#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cornstarch/catalog/model_spec.h"

namespace cornstarch::catalog {

using Json = nlohmann::ordered_json;

/// Where a rotary embedding stands in a config.json.
struct RopeKeys {
  const char* theta = "rope_theta";
  double default_theta = 10000.0;
  bool scaled = true;                       ///< rope_scaling is of it
  const char* layers = nullptr;             ///< the key of these layers' own part of rope_parameters
  std::vector<std::int64_t> sections = {};  ///< M-RoPE: where mrope_section is absent
};

/// Reads the keys of one HF config.json section. A missing key gives the default of the HF class; whatever is
/// wrong with a value becomes a problem, and the default stands in so that reading goes on and finds the next
/// one.
class HfConfig {
 public:
  explicit HfConfig(Json section) : json_(std::move(section)) {}

  /// An integer in 1..`limit`. `alias` is a second spelling (HF's attribute_map), which wins as it does
  /// there.
  std::int64_t size(const std::string& key, std::int64_t fallback, const std::string& alias = {},
                    std::int64_t limit = kMaxSize);
  /// As size(), but null or absent is nothing.
  std::optional<std::int64_t> optional_size(const std::string& key);
  std::optional<std::int64_t> optional_integer(const std::string& key);
  double positive(const std::string& key, double fallback);
  double non_negative(const std::string& key, double fallback);
  bool flag(const std::string& key, bool fallback);
  Activation activation(const std::string& key, const std::string& fallback);
  RopeSpec rope(std::int64_t max_positions, std::int64_t head_dim, const RopeKeys& keys = {});
  /// Half of a head turns by the row, half by the column ("axial").
  RopeSpec axial_rope(std::int64_t head_dim);

  /// An option that exists in HF but that only `value` of is implemented (null counts as `value`).
  void require_number(const std::string& key, double value, const std::string& why);
  void require_false(const std::string& key, const std::string& why);
  void require_absent(const std::string& key, const std::string& why);
  /// Keys that do not change what the model computes.
  void ignore(std::initializer_list<const char*> keys);

  void problem(const std::string& key, const std::string& what);
  const std::vector<std::string>& problems() const { return problems_; }
  /// Keys that nobody read or ignored.
  std::vector<std::string> unknown_keys() const;
  /// Every key that was read or ignored, for suggestions.
  std::vector<std::string> known_keys() const { return {known_.begin(), known_.end()}; }
  const Json& json() const { return json_; }

  static constexpr std::int64_t kMaxSize = (std::int64_t{1} << 31) - 1;
  static constexpr std::int64_t kMaxLayers = 10000;

 private:
  const Json* find(const std::string& key);
  double number(const Json& owner, const std::string& path, const std::string& key,
                std::optional<double> fallback, bool zero_allowed);
  std::int64_t original_positions(const Json& scaling, const std::string& name, std::int64_t max_positions);
  void llama3_scaling(const Json& scaling, const std::string& name, std::int64_t max_positions,
                      RopeSpec& rope);
  void yarn_scaling(const Json& scaling, const std::string& name, std::int64_t max_positions, RopeSpec& rope);
  void longrope_scaling(const Json& scaling, const std::string& name, std::int64_t max_positions,
                        std::int64_t head_dim, RopeSpec& rope);
  void three_parts(const Json& scaling, const std::string& name, std::int64_t head_dim,
                   const std::vector<std::int64_t>& fallback, RopeSpec& rope);

  Json json_;
  std::set<std::string> known_;
  std::vector<std::string> problems_;
};

/// Keys that any HF config.json may hold and that do not change what a model computes (of old versions and of
/// other tools, too). So do those that begin with an underscore ("_name_or_path") or name a program
/// ("transformers.js_config").
const std::vector<std::string>& neutral_keys();

/// A JSON value in an error text, cut where it is long.
std::string shown(const Json& value);

}  // namespace cornstarch::catalog
