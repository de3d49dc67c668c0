#include "config_round_trip.h"
#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"

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
  fuzz::require_round_trip(loaded->config);
  return 0;
}
