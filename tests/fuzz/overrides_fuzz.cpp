#include <fstream>
#include <iterator>
#include <vector>

#include "config_round_trip.h"
#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"

namespace {

using namespace cornstarch;

const std::string& demo() {
  static const std::string text = [] {
    std::ifstream file(CORNSTARCH_SOURCE_DIR "/configs/demo.yaml");
    return std::string{std::istreambuf_iterator<char>(file), {}};
  }();
  return text;
}

/// A key as config::keys() lists it, with names and numbers for its stars.
std::string some_key(fuzz::Input& input) {
  static const std::vector<config::KeyInfo> keys = config::keys();
  std::string key = keys[(input.byte() * std::size_t{256} + input.byte()) % keys.size()].path;
  for (auto star = key.find('*'); star != std::string::npos; star = key.find('*'))
    key.replace(star, 1,
                star > 0 && key[star - 1] == '[' ? std::to_string(input.below(3))
                                                 : (input.yes() ? "vision" : "audio"));
  return key;
}

/// A value of the kinds that keys take, or any text.
std::string some_value(fuzz::Input& input) {
  static const std::vector<std::string> common = {
      "true", "false", "0",    "1",   "2",    "-1",   "1e-3",  "0.5",  "null",   "[]",    "[1]",
      "{}",   "fp32",  "bf16", "cpu", "\"\"", "skip", "1e400", "0x10", "[a, b]", "{a: 1}"};
  return input.yes() ? common[input.below(common.size())] : std::string(input.word());
}

}  // namespace

/// Whatever --set says, the demo's config comes out with problems or as a config that reads back as itself.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  std::vector<std::string> flags;
  while (!input.empty() && flags.size() < 8)
    flags.push_back(input.yes() ? cat(some_key(input), "=", some_value(input)) : std::string(input.word()));
  Diagnostics diagnostics;
  const auto loaded = config::load_text(demo(), "demo.yaml", "/data", flags, diagnostics);
  (void)render_text(diagnostics);
  if (!loaded || diagnostics.has_errors()) return 0;
  fuzz::require_round_trip(loaded->config);
  return 0;
}
