#include "cornstarch/generate/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/random.h"
#include "cornstarch/base/result.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/token_ids.h"
#include "cornstarch/generate/answer.h"
#include "generate_fixture.h"

// Models with a cache say what whole forwards say, and what transformers says
// (tests/golden/make_generated.py).
namespace {

using namespace cornstarch;
using generate::Decoder;

constexpr int kTokens = 64;

struct Case {
  std::string name, family;
  dataio::Prompt prompt;
  std::vector<std::int64_t> ids;
};

std::vector<Case> cases() {
  std::ifstream file(fixture::golden() / "generated.json");
  std::vector<Case> out;
  const auto all = nlohmann::json::parse(file);
  for (const auto& [name, said] : all.items()) {
    std::ifstream config(fixture::golden() / "models" / name / "config.json");
    out.push_back({name, nlohmann::json::parse(config).at("model_type"), {}, said.at("ids")});
    out.back().prompt.ids = said.at("prompt").get<std::vector<std::int64_t>>();
  }
  return out;
}

/// The LLM of a golden folder, with positions for what is asked: their number is no part of what is computed.
catalog::Modalities language_model(const Case& c) {
  auto modalities = fixture::modalities(cat("llm: {", fixture::pretrained(c.name, c.family), "}"));
  modalities.back().spec.max_positions = 128;
  return modalities;
}

/// The largest difference between logits one by one and those of whole forwards, relative to their size.
double worst(const catalog::Modalities& modalities, dataio::Prompt prompt, int tokens) {
  Decoder one_by_one(modalities, at::kDouble, at::kCPU), whole(modalities, at::kDouble, at::kCPU);
  at::Tensor logits = one_by_one.begin(prompt);
  double worst = 0;
  for (int i = 0; i < tokens; ++i) {
    const std::int64_t id = (7 * i + 3) % modalities.back().spec.vocab_size;
    prompt.ids.push_back(id);
    logits = one_by_one.go_on(id);
    const at::Tensor expected = whole.begin(prompt);
    worst = std::max(worst, ((logits - expected).abs().max() / expected.abs().max()).item<double>());
  }
  return worst;
}

/// An item as an encoder takes it, of noise.
dataio::MediaItem item_of(const catalog::Modality& encoder, const catalog::Extents& extents,
                          std::uint64_t seed) {
  dataio::MediaItem item;
  const std::int64_t one = checked_numel(encoder.spec.item_shape).value();
  const bool own_sizes = !catalog::fixed_extents(encoder.spec);
  const Philox philox(seed);
  for (std::int64_t i = 0; i < (own_sizes ? one * extents.places() : one); ++i)
    item.values.push_back(static_cast<float>(philox.normal(static_cast<std::uint64_t>(i))));
  return item;
}

}  // namespace

TEST_CASE("with a cache, logits are those of whole forwards", "[generate][decoder]") {
  const auto all = cases();
  CHECK(all.size() == 44);
  for (const Case& c : all) {
    CAPTURE(c.name);
    CHECK(worst(language_model(c), c.prompt, 24) < 1e-9);
  }
}

TEST_CASE("greedy answers are transformers'", "[generate][decoder]") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const auto modalities = language_model(c);
    Decoder decoder(modalities, at::kDouble, at::kCPU);
    const generate::Limits limits{kTokens, {}};
    CHECK(generate::answer(decoder, c.prompt, {}, limits, "", [](std::int64_t) { return true; }).ids ==
          c.ids);
  }
}

TEST_CASE("media stand in the prompt, and positions go on behind them", "[generate][decoder]") {
  const auto modalities = fixture::modalities(cat(
      "encoders: {look: {", fixture::pretrained("qwen2vlvision", "qwen2_vl_vision"),
      ", projector: {type: linear}}, see: {", fixture::pretrained("clip", "clip_vision_model"),
      ", projector: {type: linear}}, hear: {", fixture::pretrained("whisper", "whisper"),
      ", projector: {type: linear}}}, llm: {", fixture::pretrained("qwen2vl_options", "qwen2_vl_text"), "}"));
  dataio::Prompt prompt;
  prompt.extents.resize(3);
  prompt.media.resize(3);
  prompt.ids = {5, 6};
  const auto add = [&](std::size_t e, const catalog::Extents& extents) {
    prompt.extents[e].push_back(extents);
    prompt.media[e].push_back(item_of(modalities[e], extents, e + prompt.ids.size()));
    for (std::int64_t i = 0; i < catalog::features_of(modalities[e], extents); ++i)
      prompt.ids.push_back(catalog::placeholder_id(static_cast<std::int64_t>(e)));
    prompt.ids.push_back(7);
  };
  add(0, {1, 4, 8});
  add(1, *catalog::fixed_extents(modalities[1].spec));
  add(0, {1, 8, 4});
  add(2, *catalog::fixed_extents(modalities[2].spec));
  CHECK(worst(modalities, prompt, 8) < 1e-9);

  // What stands there matters.
  Decoder decoder(modalities, at::kDouble, at::kCPU);
  const at::Tensor before = decoder.begin(prompt);
  for (auto& items : prompt.media) {
    items[0].values[0] += 1;
    CHECK((decoder.begin(prompt) - before).abs().max().item<double>() > 1e-6);
    items[0].values[0] -= 1;
  }
}

TEST_CASE("a prompt leaves room for an answer", "[generate][decoder]") {
  const auto modalities = fixture::modalities(cat("llm: {", fixture::pretrained("llama_gqa", "llama"), "}"));
  Decoder decoder(modalities, at::kFloat, at::kCPU);
  CHECK(decoder.max_length() == 64);
  dataio::Prompt prompt;
  prompt.ids.assign(62, 3);
  const auto yes = [](std::int64_t) { return true; };
  const auto out = generate::answer(decoder, prompt, {}, {100, {}}, "", yes);
  CHECK(out.ids.size() == 2);
  CHECK(out.ended == generate::Ended::length);
  prompt.ids.assign(64, 3);
  try {
    decoder.begin(prompt);
    FAIL("it was taken");
  } catch (const Failure& failure) {
    CHECK(failure.error().message ==
          "the prompt is 64 tokens long, and the model has 64 positions: none is left for an answer");
    CHECK(failure.error().code == ExitCode::usage);
  }
  prompt.ids = {1, 2, 3};
  const auto ids = generate::answer(decoder, prompt, {}, {6, {}}, "", yes).ids;
  const auto cut = generate::answer(decoder, prompt, {}, {6, {ids[3]}}, "", yes);
  CHECK(cut.ended == generate::Ended::token);
  const auto first = std::find(ids.begin(), ids.end(), ids[3]);
  CHECK(cut.ids == std::vector<std::int64_t>(ids.begin(), first));
  int heard = 0;
  const auto stopped =
      generate::answer(decoder, prompt, {}, {6, {}}, "", [&](std::int64_t) { return ++heard < 2; });
  CHECK(stopped.ended == generate::Ended::stopped);
  CHECK(stopped.ids.size() == 2);
}
