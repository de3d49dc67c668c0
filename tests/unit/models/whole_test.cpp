#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/where.h>

#include <filesystem>
#include <map>
#include <numeric>

#include "catch.h"
#include "cornstarch/base/result.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/formats/safetensors.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/models/weights.h"

// tests/golden/make_wholes.py wrote what transformers computes of whole checkpoints; this computes it of
// their parts, which are read from the same files.
namespace {

using namespace cornstarch;
namespace fs = std::filesystem;

const fs::path kRoot = fs::path(CORNSTARCH_TEST_DIR) / "golden/wholes";
constexpr std::int64_t kImage = 399;  // HF's token for a feature

at::Tensor golden(const std::string& name, const std::string& key) {
  const auto file = value_or_throw(formats::SafetensorsFile::open(kRoot / name / "golden.safetensors"));
  const formats::TensorEntry& entry = file.tensors().at(key);
  const auto dtype = entry.dtype == formats::DType::i64 ? at::kLong : at::kFloat;
  return at::from_blob(const_cast<std::byte*>(file.bytes(entry).data()), entry.shape, dtype).clone();
}

catalog::Modalities modalities_of(const std::string& name) {
  config::Loaded loaded;
  config::RunConfig& config = loaded.config;
  config.model = value_or_throw(catalog::read_whole(kRoot / name)).model;
  for (config::Encoder& encoder : config.model.encoders) encoder.placeholder = "<image>";
  config.layout = config::Layout::single;
  config.batch.num_microbatches = 1;
  config.batch.sequence_length = 64;
  config.data.train.push_back({kRoot / name / "train.jsonl"});
  config.data.tokenizer = fs::path(CORNSTARCH_TEST_DIR) / "../configs/example";
  config.steps = 1;
  Diagnostics diagnostics;
  auto modalities = catalog::resolve(loaded, diagnostics);
  INFO(render_text(diagnostics));
  REQUIRE(modalities);
  return std::move(*modalities);
}

models::Stage stage_of(const catalog::Modality& modality) {
  std::vector<int> modules;
  for (std::size_t i = 0; i < modality.spec.modules.size(); ++i)
    if (modality.used[i]) modules.push_back(static_cast<int>(i));
  models::Stage stage(modality, modules, comm::alone()->world(), {});
  models::FirstValues first(modality, 0);
  for (models::Parameter& p : stage.parameters()) first.fill(p);
  first.check();
  return stage;
}

double largest(const at::Tensor& t) { return t.abs().max().item<double>(); }

void expect_logits(const std::string& name) {
  CAPTURE(name);
  const at::NoGradGuard no_grad;
  const catalog::Modalities parts = modalities_of(name);
  models::Stage vision = stage_of(parts[0]), llm = stage_of(parts[1]);
  const at::Tensor ids = golden(name, "ids");
  const models::Text text = models::make_text(at::where(ids.eq(kImage), -1, ids), golden(name, "labels"), 1,
                                              parts[1].spec.vocab_size);
  const at::Tensor features = vision.forward(golden(name, "media"));
  const at::Tensor hidden = llm.transform(llm.embed(text, {features}));
  const at::Tensor expected = golden(name, "logits"), got = llm.logits(hidden.flatten(0, 1));
  REQUIRE(got.sizes() == expected[0].sizes());
  CHECK(largest(got - expected[0]) <= 1e-4 * largest(expected));
}

}  // namespace

TEST_CASE("the parts of a whole checkpoint give the logits that transformers gives", "[models][golden]") {
  expect_logits("llava");
  expect_logits("llava_siglip");
  expect_logits("llava_next");
}
