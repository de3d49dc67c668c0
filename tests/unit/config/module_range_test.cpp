#include "fixture.h"

namespace cornstarch::config::test {
namespace {

using Names = std::vector<std::string>;

TEST_CASE("A range of modules is expanded") {
  CHECK(expand_module_range("model.layers.0..3") ==
        Names{"model.layers.0", "model.layers.1", "model.layers.2", "model.layers.3"});
  CHECK(expand_module_range("layers.9..10") == Names{"layers.9", "layers.10"});
  CHECK(expand_module_range("layers.7..7") == Names{"layers.7"});
  CHECK(expand_module_range("model.norm") == Names{"model.norm"});
  CHECK(expand_module_range("") == Names{""});
  CHECK(expand_module_range("layers.0..9999")->size() == 10000);
}

TEST_CASE("A malformed range is none") {
  for (const char* entry : {"layers.5..3", "layers..3", "layers.0..", "layers.a..b", "..", "..3", ".0..3",
                            "0..3", "layers.0...3", "layers.0..3.mlp", "layers.00..3", "layers.-1..3",
                            "layers.0..99999999999999999999", "layers.0..10000"}) {
    INFO(entry);
    CHECK(expand_module_range(entry) == std::nullopt);
  }
}

}  // namespace
}  // namespace cornstarch::config::test
