#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <filesystem>

#include "cornstarch/base/files.h"
#include "cornstarch/base/result.h"
#include "cornstarch/formats/safetensors.h"
#include "cornstarch/models/split_tokens.h"
#include "cornstarch/models/weights.h"
#include "cornstarch/plan/item_layout.h"
#include "cornstarch/plan/text_layout.h"
#include "model_fixture.h"

// tests/golden/make_models.py wrote what transformers computes; this computes it again from the same files.
namespace {

using namespace cornstarch;
using fixture::Modality;
using models::Stage;
using Tensors = std::map<std::string, at::Tensor>;

constexpr double kTolerance = 1e-4;  // of the largest value of a tensor, fp32

std::filesystem::path root() { return std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden" / "models"; }

std::vector<std::string> cases(const std::string& family) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(root())) {
    const std::string name = entry.path().filename();
    if (fixture::family_of(name) == family) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Tensors read_golden(const std::string& name) {
  const auto file = value_or_throw(formats::SafetensorsFile::open(root() / name / "golden.safetensors"));
  Tensors out;
  for (const auto& [key, entry] : file.tensors()) {
    const auto dtype = entry.dtype == formats::DType::i64 ? at::kLong : at::kFloat;
    auto* data = const_cast<std::byte*>(file.bytes(entry).data());
    out[key] = at::from_blob(data, entry.shape, dtype).clone();
  }
  return out;
}

Modality read_modality(const std::string& name, const std::string& family) {
  const std::string config = value_or_throw(read_file(root() / name / "config.json"));
  return fixture::modality("m", family, config);
}

double largest(const at::Tensor& t) { return t.abs().max().item<double>(); }

void expect_close(const at::Tensor& got, const at::Tensor& expected, double floor) {
  REQUIRE(got.sizes() == expected.sizes());
  CHECK(largest(got - expected) <= kTolerance * std::max(floor, largest(expected)));
}

// What a run leaves: outputs of modules ("hidden.<module>"), the loss, and shards of gradients.
struct Computed {
  Tensors values;
  std::vector<models::Parameter> parameters;
};

// A stage for each module, one after the other within one graph.
class Pipeline {
 public:
  Pipeline(const std::string& name, const Modality& m, const comm::GroupPtr& tp) : m_(m) {
    for (const int module : fixture::all_modules(m)) {
      const auto i = static_cast<std::size_t>(module);
      if (!m.used[i]) continue;
      names_.push_back(m.spec.modules[i].name);
      models::StageOptions options;
      options.where.tp = tp->size();
      stages_.emplace_back(m, std::vector<int>{module}, tp, options);
      models::load_pretrained(root() / name, m, stages_.back().parameters());
    }
  }

  Computed run(const Tensors& golden) {
    Computed out;
    const at::Tensor loss =
        catalog::is_llm(m_) ? run_llm(golden, out.values) : run_encoder(golden, out.values);
    out.values["loss"] = loss.detach();
    loss.backward();
    for (Stage& stage : stages_) {
      for (const models::Parameter& p : stage.parameters()) out.parameters.push_back(p);
    }
    for (std::size_t e = 0; e < features_.size(); ++e) {
      out.values["grad.features." + std::to_string(e)] = features_[e].grad();
    }
    return out;
  }

 private:
  at::Tensor run_encoder(const Tensors& golden, Tensors& values) {
    at::Tensor x = golden.at("media");
    models::Tokens tokens;
    const bool own_sizes = golden.count("grid") > 0;
    if (own_sizes) {
      x = x.unsqueeze(0);
      tokens = tokens_of_items(golden.at("grid"));
    }
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      x = stages_[i].forward(x, tokens);
      values["hidden." + names_[i]] = own_sizes ? x.detach().squeeze(0) : x.detach();
    }
    return (x * golden.at("weight")).sum();
  }

  models::Tokens tokens_of_items(const at::Tensor& grid) const {
    std::vector<catalog::Extents> items;
    for (std::int64_t i = 0; i < grid.size(0); ++i) {
      const auto side = [&](int d) { return grid[i][d].item<std::int64_t>(); };
      items.push_back({side(0), side(1), side(2)});
    }
    return models::split_tokens(plan::ItemLayout(m_, 1, items).token_layout(), m_.spec);
  }

  at::Tensor run_llm(const Tensors& golden, Tensors& values) {
    for (const char* e : {"features.0", "features.1"}) {
      features_.push_back(golden.at(e).clone().set_requires_grad(true));
    }
    const models::Text text = models::make_text(golden.at("ids"), golden.at("labels"), 2, m_.spec.vocab_size);
    at::Tensor x = stages_[0].embed(text, features_);
    const auto shape = x.sizes().vec();
    values["hidden." + names_[0]] = x.detach().clone();
    models::Tokens tokens = tokens_of(text);
    if (golden.count("positions")) tokens.positions = golden.at("positions").view({3, -1});
    if (tokens.layout) x = x.view({1, -1, shape[2]});
    for (std::size_t i = 1; i + 1 < stages_.size(); ++i) {
      x = stages_[i].transform(x, tokens);
      values["hidden." + names_[i]] = x.detach().view(shape);
    }
    x = x.view(shape);
    const at::Tensor logits = stages_.back().logits(x.detach().flatten(0, 1)).detach();
    values["logits"] = logits.view({x.size(0), x.size(1), -1});
    return stages_.back().loss(x, text);
  }

  /// Whole rows, or, where a window, a sample's length or a position's parts are noticed, all their tokens in
  /// one list.
  models::Tokens tokens_of(const models::Text& text) const {
    const std::int64_t rows = text.ids.size(0), length = text.ids.size(1);
    const std::vector<std::int64_t> ids(static_cast<std::size_t>(length), 0);  // all alike to a causal mask
    const std::vector<plan::TextTokens> all(static_cast<std::size_t>(rows), {ids, length});
    const plan::TextSplit split{rows, length, /*packing=*/catalog::notices_grids(m_.spec)};
    return models::split_tokens(plan::text_layout(all, split, {m_}), m_.spec);
  }

  const Modality& m_;
  std::vector<std::string> names_;
  std::vector<Stage> stages_;
  std::vector<at::Tensor> features_;
};

void add_gradients(Tensors& whole, const std::vector<models::Parameter>& parameters, bool first_rank) {
  for (const models::Parameter& p : parameters) {
    if (!p.trains) continue;
    at::Tensor& sum = whole[p.tied_to.empty() ? p.spec->name : p.tied_to.substr(p.modality.size() + 1)];
    if (!sum.defined()) sum = at::zeros(p.spec->shape, at::kFloat);
    if (p.split_dim >= 0) sum.narrow(p.split_dim, p.offset, p.value.size(p.split_dim)).add_(p.value.grad());
    if (p.split_dim < 0 && (first_rank || p.partial_over_tp)) sum.add_(p.value.grad());
  }
}

void expect_parity(const std::string& name, const std::string& family, int tp) {
  CAPTURE(name, tp);
  const Modality m = read_modality(name, family);
  const Tensors golden = read_golden(name);
  std::vector<Computed> ranks(static_cast<std::size_t>(tp));
  comm::run_threads(tp, {}, [&](const comm::CommunicatorPtr& c) {
    ranks[static_cast<std::size_t>(c->rank())] = Pipeline(name, m, c->world()).run(golden);
  });
  Tensors gradients;
  for (const Computed& rank : ranks) add_gradients(gradients, rank.parameters, &rank == &ranks[0]);

  double floor = 0;  // some gradients are zero but for rounding: a k_proj's bias
  for (const auto& [key, expected] : golden)
    if (key.rfind("grad.", 0) == 0) floor = std::max(floor, 1e-2 * largest(expected));
  std::size_t hidden = 0, compared = 0;
  for (const auto& [key, expected] : golden) {
    const bool is_gradient = key.rfind("grad.", 0) == 0 && key.rfind("grad.features", 0) != 0;
    const bool is_value = ranks[0].values.count(key) > 0;
    if (!is_gradient && !is_value) continue;
    INFO(key);
    const std::string parameter = is_gradient ? key.substr(5) : "";
    REQUIRE((is_value || gradients.count(parameter) > 0));
    expect_close(is_value ? ranks[0].values.at(key) : gradients.at(parameter), expected,
                 is_gradient ? floor : 0);
    compared += is_gradient ? 1 : 0;
    hidden += key.rfind("hidden.", 0) == 0 ? 1 : 0;
  }
  CHECK(compared == gradients.size());
  // An LLM has logits for its head; what feeds only a pooled output is not computed.
  const auto used = static_cast<std::size_t>(std::count(m.used.begin(), m.used.end(), true));
  CHECK(hidden == used - (catalog::is_llm(m) ? 1 : 0));
}

void expect_parity(const std::string& family, std::size_t number) {
  REQUIRE(cases(family).size() == number);
  for (const std::string& name : cases(family)) {
    const std::int64_t kv_heads = read_modality(name, family).spec.kv_heads;
    for (const int tp : {1, 2}) {
      if (kv_heads % tp == 0) expect_parity(name, family, tp);
    }
  }
}

}  // namespace

TEST_CASE("language models compute what transformers does", "[models][golden]") {
  expect_parity("llama", 29);
  expect_parity("gemma2", 2);
  expect_parity("gemma3_text", 2);
  expect_parity("mistral", 2);
  expect_parity("olmo2", 2);
  expect_parity("qwen2", 2);
  expect_parity("qwen2_vl_text", 2);
  expect_parity("qwen2_5_vl_text", 1);
  expect_parity("qwen3", 2);
}

TEST_CASE("encoders compute what transformers does", "[models][golden]") {
  expect_parity("clip_vision_model", 10);
  expect_parity("dinov2", 2);
  expect_parity("siglip_vision_model", 2);
  expect_parity("qwen2_audio_encoder", 2);
  expect_parity("qwen2_vl_vision", 2);
  expect_parity("qwen2_5_vl_vision", 2);
  expect_parity("whisper", 7);
}
