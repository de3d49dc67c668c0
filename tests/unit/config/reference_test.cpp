#include "cornstarch/base/files.h"
#include "fixture.h"

namespace cornstarch::config::test {
namespace {

TEST_CASE("docs/config.md is what the fields say") {
  INFO("run: cornstarch-train schema --markdown > docs/config.md");
  CHECK(read_file(CORNSTARCH_SOURCE_DIR "/docs/config.md").value() == reference_markdown());
}

TEST_CASE("The reference tells type, range, default, meaning and aliases") {
  const std::string text = reference_markdown();
  const auto has = [&](const std::string& line) { return text.find(line + "\n") != std::string::npos; };
  CHECK(has("| `steps` | a whole number, at least 1 | **required** | Optimizer steps of the run. |"));
  CHECK(has(
      "| `tp` | a whole number, at least 1 | `1` | Tensor-parallel size: ranks that share each layer. *Also* "
      "`tp_size`. |"));
  CHECK(has("## `model.encoders.<name>.parallel`"));
  CHECK(has("## `data.train[]`"));
}

}  // namespace
}  // namespace cornstarch::config::test
