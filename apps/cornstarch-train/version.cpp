#include "version.h"

#include "cornstarch/base/text.h"

namespace cornstarch::app {

std::string version_text() {
  const std::string torch = CORNSTARCH_LIBTORCH_VERSION;
  const std::string cuda = CORNSTARCH_CUDA_VERSION;
  return cat("cornstarch-train ", CORNSTARCH_VERSION, "\n", "  compiler       ", CORNSTARCH_COMPILER, "\n",
             "  yaml-cpp       ", CORNSTARCH_YAML_CPP_VERSION, "\n", "  CLI11          ",
             CORNSTARCH_CLI11_VERSION, "\n", "  spdlog         ", CORNSTARCH_SPDLOG_VERSION, "\n",
             "  nlohmann-json  ", CORNSTARCH_JSON_VERSION, "\n", "  LibTorch       ",
             torch.empty() ? "none: built without the worker" : torch + " (the worker)", "\n",
             "  CUDA           ", cuda.empty() ? "none: built for CPUs only" : cuda, "\n");
}

bool built_for_cuda() { return !std::string(CORNSTARCH_CUDA_VERSION).empty(); }

}  // namespace cornstarch::app
