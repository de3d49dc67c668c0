#include "cornstarch/catalog/families.h"
#include "input.h"

/// Any config.json describes a model of a family or has problems; what it describes is written as one that
/// describes the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch;
  using fuzz::require;
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const catalog::FamilyInfo& family : catalog::families()) {
    const catalog::SpecResult result = catalog::make_spec(family.name, text);
    require(result.spec.has_value() == result.problems.empty());
    if (!result.spec) continue;
    const std::string exported = catalog::config_json(*result.spec, "float32");
    const catalog::SpecResult again = catalog::make_spec(family.name, exported);
    require(again.spec.has_value());
    require(catalog::config_json(*again.spec, "float32") == exported);
  }
  return 0;
}
