#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "temporary_folder.h"

/// What tests/golden/make_dataio.py wrote, and folders to try things in.
namespace golden {

inline std::filesystem::path path(const std::string& name) {
  return std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden" / "dataio" / name;
}

inline nlohmann::json json(const std::string& name) {
  return nlohmann::json::parse(cornstarch::value_or_throw(cornstarch::read_file(path(name))));
}

inline std::vector<float> floats(const std::string& name) {
  const std::string bytes = cornstarch::value_or_throw(cornstarch::read_file(path(name)));
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// The largest difference; infinite if there are not as many.
template <class T>
double distance(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return INFINITY;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return most;
}

/// A folder that is gone at the end of the test.
class Folder : public cornstarch::test::TemporaryFolder {
 public:
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    std::ofstream(path() / name, std::ios::binary) << content;
    return path() / name;
  }
};

}  // namespace golden
