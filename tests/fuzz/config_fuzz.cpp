#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "input.h"

/// Any text is a config or has problems, each of which can be shown; what is one can be written and read
/// again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch;
  using fuzz::require;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Diagnostics diagnostics;
  const auto loaded = config::load_text(text, "run.yaml", "/data", {}, diagnostics);
  require(!render_text(diagnostics).empty() || loaded);
  (void)render_json(diagnostics);
  if (!loaded || diagnostics.has_errors()) return 0;
  const std::string dumped = config::dump(loaded->config);
  Diagnostics none;
  const auto again = config::load_text(dumped, "dump.yaml", "/elsewhere", {}, none);
  require(again && !none.has_errors());
  require(config::dump(again->config) == dumped);
  return 0;
}
