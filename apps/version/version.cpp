#include "version.h"

#include "commit.h"
#include "cornstarch/base/text.h"

namespace cornstarch::app {

std::vector<std::pair<std::string, std::string>> versions() {
  return {{"cornstarch-train", CORNSTARCH_VERSION},
          {"compiler", CORNSTARCH_COMPILER},
          {"yaml-cpp", CORNSTARCH_YAML_CPP_VERSION},
          {"CLI11", CORNSTARCH_CLI11_VERSION},
          {"spdlog", CORNSTARCH_SPDLOG_VERSION},
          {"nlohmann-json", CORNSTARCH_JSON_VERSION},
          {"LibTorch", CORNSTARCH_LIBTORCH_VERSION},
          {"CUDA", CORNSTARCH_CUDA_VERSION},
          {"commit", CORNSTARCH_COMMIT}};
}

std::string version_text() {
  std::string text;
  for (const auto& [name, version] : versions()) {
    std::string shown = version;
    if (name == "LibTorch")
      shown = version.empty() ? "none: built without the worker" : version + " (the worker)";
    if (name == "CUDA" && version.empty()) shown = "none: built for CPUs only";
    if (name == "commit" && version.empty()) continue;  // not built from a clone
    text += text.empty() ? cat(name, " ", shown, "\n")
                         : cat("  ", name, std::string(15 - name.size(), ' '), shown, "\n");
  }
  return text;
}

bool built_for_cuda() { return !std::string(CORNSTARCH_CUDA_VERSION).empty(); }

}  // namespace cornstarch::app
