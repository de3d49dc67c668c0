#pragma once

#include <filesystem>
#include <string>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"

/// Models from tests/golden/models, as a config puts them together.
namespace fixture {

inline std::filesystem::path golden() { return std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden"; }

inline std::string pretrained(const std::string& model, const std::string& family) {
  return cornstarch::cat("family: ", family, ", pretrained: ", (golden() / "models" / model).string());
}

/// `model` is a config's.
inline cornstarch::catalog::Modalities modalities(const std::string& model) {
  const std::string example = std::string(CORNSTARCH_SOURCE_DIR) + "/configs/example/";
  const std::string text = cornstarch::cat(
      "model: {", model, "}\nlayout: single\nbatch: {num_microbatches: 1, sequence_length: 8}\n",
      "data: {train: [{path: ", example, "conversations.jsonl}], tokenizer: ", example,
      "tokenizer.json}\nsteps: 1\n");
  cornstarch::Diagnostics diagnostics;
  const auto loaded = cornstarch::config::load_text(text, "test", ".", {}, diagnostics);
  auto resolved = loaded ? cornstarch::catalog::resolve(*loaded, diagnostics) : std::nullopt;
  INFO(cornstarch::render_text(diagnostics));
  REQUIRE(resolved.has_value());
  return std::move(*resolved);
}

}  // namespace fixture
