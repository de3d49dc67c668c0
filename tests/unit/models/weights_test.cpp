#include "cornstarch/models/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "cornstarch/base/files.h"
#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/lora.h"
#include "cornstarch/formats/safetensors.h"
#include "model_fixture.h"
#include "temporary_folder.h"

using namespace cornstarch;
using fixture::Modality;
using models::NamedTensor;
using models::Parameter;
using models::Stage;

namespace {

using Folder = test::TemporaryFolder;

std::vector<NamedTensor> tensors_of(Stage& stage) {
  std::vector<NamedTensor> out;
  for (const Parameter& p : stage.parameters()) out.push_back({p.spec->name, p.value.detach()});
  return out;
}

std::vector<std::string> names_in(const std::filesystem::path& file) {
  std::vector<std::string> names;
  const auto opened = value_or_throw(formats::SafetensorsFile::open(file));
  for (const auto& [name, _] : opened.tensors()) names.push_back(name);
  return names;
}

template <typename T>
formats::TensorToWrite entry(const std::string& name, const std::vector<T>& values,
                             std::vector<std::int64_t> shape, formats::DType dtype) {
  return {name, dtype, std::move(shape), std::as_bytes(std::span(values))};
}

Modality clip_with(bool mlp) {
  Modality m = fixture::clip();
  fixture::add_projector(m, 17, mlp);
  return m;
}

Modality dinov2() {
  return fixture::modality("vision", "dinov2", R"({"hidden_size": 24, "mlp_ratio": 2, "num_hidden_layers": 2,
      "num_attention_heads": 12, "image_size": 8, "patch_size": 4, "use_swiglu_ffn": true})");
}

std::string failure_of(const std::function<void()>& body, ExitCode code) {
  try {
    body();
  } catch (const Failure& failure) {
    CHECK(failure.error().code == code);
    return failure.error().message;
  }
  return "(nothing failed)";
}

}  // namespace

TEST_CASE("what is saved is loaded again, as shards of any layout", "[models]") {
  const Modality m = GENERATE(fixture::llama(false), fixture::llama(true), fixture::whisper(), dinov2(),
                              clip_with(true), clip_with(false));
  const Folder folder;
  Stage saved = fixture::whole(m);
  models::save_pretrained(folder.path(), m, tensors_of(saved), at::kDouble);
  CHECK(value_or_throw(read_file(folder.path() / "config.json")) == catalog::config_json(m.spec, "float64"));

  for (const int tp : {1, 3}) {
    std::vector<std::vector<Parameter>> ranks(static_cast<std::size_t>(tp));
    comm::run_threads(tp, {}, [&](const comm::CommunicatorPtr& c) {
      std::vector<int> rest = fixture::all_modules(m);
      rest.erase(rest.begin());
      std::vector<Parameter>& mine = ranks[static_cast<std::size_t>(c->rank())];
      for (const auto& modules : {std::vector<int>{0}, rest}) {  // a tied head is a parameter of its own
        Stage stage(m, modules, c->world(), {at::kDouble, 99});
        models::load_pretrained(folder.path(), m, stage.parameters());
        mine.insert(mine.end(), stage.parameters().begin(), stage.parameters().end());
      }
    });
    std::map<std::string, at::Tensor> expected;
    for (const NamedTensor& t : tensors_of(saved)) expected[m.name + "/" + t.name] = t.value;
    for (const auto& rank : ranks) {
      for (const Parameter& p : rank) {
        CAPTURE(p.full_name(), tp);
        const at::Tensor& all = expected.at(p.tied_to.empty() ? p.full_name() : p.tied_to);
        CHECK(p.value.equal(p.split_dim < 0 ? all
                                            : all.narrow(p.split_dim, p.offset, p.value.size(p.split_dim))));
        CHECK(p.value.requires_grad() == p.trains);
      }
    }
  }
}

TEST_CASE("first values: a folder's where it has them, drawn ones elsewhere", "[models]") {
  const Folder folder;
  const Modality plain = fixture::clip();
  Stage saved = fixture::whole(plain);
  models::save_pretrained(folder.path(), plain, tensors_of(saved), at::kDouble);  // no projector
  Modality m = clip_with(true);
  m.pretrained = folder.path().string();
  const models::StageOptions undefined{.dtype = at::kDouble, .seed = 5, .draws = false};
  const auto alone = comm::alone();
  Stage stage(m, fixture::all_modules(m), alone->world(), undefined);
  Stage drawn(m, fixture::all_modules(m), alone->world(), {at::kDouble, 5});
  models::FirstValues values(m, 5);
  for (Parameter& p : stage.parameters()) values.fill(p);
  values.check();
  std::map<std::string, at::Tensor> of_folder;
  for (const NamedTensor& t : tensors_of(saved)) of_folder[t.name] = t.value;
  std::size_t projector = 0;
  for (std::size_t i = 0; i < stage.parameters().size(); ++i) {
    const Parameter& p = stage.parameters()[i];
    CAPTURE(p.full_name());
    const bool kept = of_folder.count(p.spec->name) > 0;
    projector += !kept;
    CHECK(p.value.equal(kept ? of_folder[p.spec->name] : drawn.parameters()[i].value));
    CHECK(p.value.requires_grad() == p.trains);
  }
  CHECK(projector == 4);
}

TEST_CASE("adapters are written as PEFT has them, read again, or added to the weights", "[models]") {
  const Folder folder;
  Modality m = fixture::llama(false);
  catalog::add_adapters(m.spec, {"q_proj", "down_proj"}, {3, 2.5});
  m.lora.emplace();
  m.lora->rank = 3;
  m.lora->alpha = 7.5;
  m.lora->targets = {"q_proj", "down_proj"};
  Stage stage = fixture::whole(m);
  {
    const at::NoGradGuard no_grad;
    for (Parameter& p : stage.parameters())
      if (p.spec->of_adapter)
        p.value.copy_(fixture::noise(p.value.sizes().vec(), p.value.numel() + p.split_dim));
  }
  models::save_pretrained(folder.path(), m, tensors_of(stage), at::kDouble);
  const auto names = names_in(folder.path() / "adapter_model.safetensors");
  CHECK(names.size() == 4 * std::size_t(fixture::all_modules(m).size() - 3));
  CHECK(std::count(names.begin(), names.end(),
                   "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight") == 1);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "model.safetensors"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "config.json"));

  Modality read = m;
  read.lora->pretrained = folder.path().string();
  Stage again = fixture::whole(read, at::kDouble, 8);
  models::FirstValues values(read, 8);
  for (Parameter& p : again.parameters()) values.fill(p);
  values.check();
  std::map<std::string, at::Tensor> of_stage;
  for (const NamedTensor& t : tensors_of(stage)) of_stage[t.name] = t.value;
  for (const Parameter& p : again.parameters()) {
    CAPTURE(p.spec->name);
    const bool drawn = p.spec->init == catalog::Init::normal && !p.spec->of_adapter;
    CHECK(p.value.equal(of_stage[p.spec->name]) == !drawn);
  }

  m.lora->merge = true;
  const Folder whole;
  models::save_pretrained(whole.path(), m, tensors_of(stage), at::kDouble);
  CHECK_FALSE(std::filesystem::exists(whole.path() / "adapter_model.safetensors"));
  Modality plain = fixture::llama(false);
  Stage merged = fixture::whole(plain, at::kDouble, 9);
  models::load_pretrained(whole.path(), plain, merged.parameters());
  for (const Parameter& p : merged.parameters()) {
    CAPTURE(p.spec->name);
    const std::string stem = p.spec->name.substr(0, p.spec->name.rfind('.'));
    const auto b = of_stage.find(stem + ".lora_B.weight"), a = of_stage.find(stem + ".lora_A.weight");
    at::Tensor expected = of_stage[p.spec->name];
    if (p.spec->name.ends_with(".weight") && b != of_stage.end())
      expected = expected + 2.5 * at::matmul(b->second, a->second);
    CHECK(at::allclose(p.value, expected, 1e-14, 1e-14));
  }
}

TEST_CASE("PEFT is told the layers' names, of a part of its class with where they are", "[models]") {
  const auto told = [](Modality m) {
    const std::vector<std::string> targets{"q_proj",
                                           m.spec.kind == catalog::ModelKind::llm ? "up_proj" : "fc1"};
    catalog::add_adapters(m.spec, targets, {3, 2.5});
    m.lora.emplace();
    m.lora->targets = targets;
    m.lora->dropout = 0.05;
    const Folder folder;
    Stage stage = fixture::whole(m);
    models::save_pretrained(folder.path(), m, tensors_of(stage), at::kDouble);
    const std::string text = value_or_throw(read_file(folder.path() / "adapter_config.json"));
    CHECK(text.find("\"lora_dropout\": 0.05,") != std::string::npos);
    const std::size_t from = text.find("\"target_modules\": "), to = text.find("\"bias\"");
    std::string out;
    for (const char c : text.substr(from, to - from))
      if (c != ' ' && c != '\n') out += c;
    return out;
  };
  CHECK(told(fixture::llama(false)) == R"("target_modules":["q_proj","up_proj"],)");
  CHECK(told(clip_with(true)) == R"("target_modules":["q_proj","fc1"],)");
  CHECK(told(fixture::whisper()) == R"x("target_modules":"model\\.encoder\\..*\\.(q_proj|fc1)",)x");
}

TEST_CASE("first values of some elements of a shard, read or drawn", "[models]") {
  const Folder folder;
  const Modality clip = clip_with(true);
  Stage saved = fixture::whole(clip);
  models::save_pretrained(folder.path(), clip, tensors_of(saved), at::kDouble);
  Modality read = clip;
  read.pretrained = folder.path().string();
  const std::vector<Modality> modalities{read, clip, fixture::whisper()};
  for (const Modality& m : modalities) {
    std::mutex mutex;
    std::vector<std::string> other;  // Catch's macros are for one thread
    comm::run_threads(2, {}, [&](const comm::CommunicatorPtr& c) {
      const auto stage = [&] {
        return Stage(m, fixture::all_modules(m), c->world(), {.dtype = at::kBFloat16, .draws = false});
      };
      Stage whole = stage(), pieces = stage();
      models::FirstValues values(m, 5);
      for (std::size_t i = 0; i < whole.parameters().size(); ++i) {
        Parameter &all = whole.parameters()[i], &some = pieces.parameters()[i];
        values.fill(all);
        const std::int64_t n = all.value.numel();
        for (const Range piece : {Range{n / 2, n}, Range{0, n / 3}, Range{n / 3, n / 2}})
          values.fill(some, piece);
        const std::lock_guard lock(mutex);
        if (!some.value.equal(all.value)) other.push_back(all.full_name());
      }
      values.check();
    });
    CHECK(other == std::vector<std::string>{});
  }
}

TEST_CASE("files hold Hugging Face's names; a projector lies beside, a tied head is left out", "[models]") {
  const Folder folder;
  const auto save = [&](const Modality& m) {
    Stage stage = fixture::whole(m);
    models::save_pretrained(folder.path(), m, tensors_of(stage), at::kDouble);
    return names_in(folder.path() / "model.safetensors");
  };
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto llama = save(fixture::llama(false));
  CHECK(has(llama, "lm_head.weight"));
  CHECK(has(llama, "model.layers.1.self_attn.q_proj.bias"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "projector.safetensors"));
  CHECK_FALSE(has(save(fixture::llama(true)), "lm_head.weight"));
  CHECK(has(save(fixture::whisper()), "model.encoder.conv1.weight"));
  const auto dino = save(dinov2());
  CHECK(has(dino, "encoder.layer.1.mlp.weights_in.weight"));  // gate and product beside it
  CHECK(dino.size() == 6 + 2 * 18);
  const auto clip = save(clip_with(true));
  CHECK(has(clip, "vision_model.post_layernorm.weight"));
  CHECK_FALSE(has(clip, "projector.in_proj.weight"));
  CHECK(names_in(folder.path() / "projector.safetensors") ==
        std::vector<std::string>{"projector.in_proj.bias", "projector.in_proj.weight",
                                 "projector.out_proj.bias", "projector.out_proj.weight"});
}

TEST_CASE("weights are written in the type that is asked for, which config.json tells", "[models]") {
  struct Type {
    at::ScalarType dtype;
    formats::DType in_file;
    std::string in_config;
  };
  const auto type = GENERATE(Type{at::kFloat, formats::DType::f32, "float32"},
                             Type{at::kBFloat16, formats::DType::bf16, "bfloat16"},
                             Type{at::kHalf, formats::DType::f16, "float16"});
  const Modality m = clip_with(false);
  const Folder folder;
  Stage stage = fixture::whole(m), other = fixture::whole(m, at::kFloat, 8);
  models::save_pretrained(folder.path(), m, tensors_of(stage), type.dtype);
  for (const char* name : {"model.safetensors", "projector.safetensors"}) {
    const auto file = value_or_throw(formats::SafetensorsFile::open(folder.path() / name));
    for (const auto& [_, entry] : file.tensors()) CHECK(entry.dtype == type.in_file);
  }
  CHECK(value_or_throw(read_file(folder.path() / "config.json"))
            .ends_with(cat("  \"torch_dtype\": \"", type.in_config, "\"\n}\n")));
  models::load_pretrained(folder.path(), m, other.parameters());
  for (std::size_t i = 0; i < other.parameters().size(); ++i)
    CHECK(other.parameters()[i].value.equal(stage.parameters()[i].value.to(type.dtype).to(at::kFloat)));
}

TEST_CASE("a modality with a weight that fp16 has no number for is written in fp32", "[models]") {
  const Modality m = clip_with(false);
  const Folder folder;
  Stage stage = fixture::whole(m);
  std::vector<NamedTensor> tensors = tensors_of(stage);
  tensors[1].value = tensors[1].value.clone();
  tensors[1].value.view({-1})[0] = 70000;
  models::save_pretrained(folder.path(), m, tensors, at::kHalf);
  for (const char* name : {"model.safetensors", "projector.safetensors"}) {
    const auto file = value_or_throw(formats::SafetensorsFile::open(folder.path() / name));
    for (const auto& [_, entry] : file.tensors()) CHECK(entry.dtype == formats::DType::f32);
  }
  CHECK(value_or_throw(read_file(folder.path() / "config.json")).find("\"float32\"") != std::string::npos);
}

TEST_CASE("of two tied weights in a file the embedding's counts", "[models]") {
  const Modality m = fixture::llama(true);
  const Folder folder;
  Stage stage = fixture::whole(m);
  std::vector<NamedTensor> tensors = tensors_of(stage);
  models::save_pretrained(folder.path(), m, tensors, at::kDouble);
  // Modality without the tie writes both.
  const Modality untied = fixture::llama(false);
  tensors.push_back({"lm_head.weight", at::zeros({53, 24}, at::kDouble)});
  models::save_pretrained(folder.path(), untied, tensors, at::kDouble);
  Stage head(m, {4}, comm::alone()->world(), {at::kDouble, 1});
  models::load_pretrained(folder.path(), m, head.parameters());
  CHECK(head.parameters()[0].value.equal(tensors[0].value));
}

TEST_CASE("a projector without a file keeps its initial values", "[models]") {
  const Modality m = clip_with(true);
  const Folder folder;
  Stage stage = fixture::whole(m);
  models::save_pretrained(folder.path(), m, tensors_of(stage), at::kDouble);
  std::filesystem::remove(folder.path() / "projector.safetensors");
  Stage other = fixture::whole(m, at::kDouble, 8), untouched = fixture::whole(m, at::kDouble, 8);
  models::load_pretrained(folder.path(), m, other.parameters());
  for (std::size_t i = 0; i < other.parameters().size(); ++i) {
    const Parameter& p = other.parameters()[i];
    const bool projector = p.spec->name.rfind("projector.", 0) == 0;
    CHECK(p.value.equal((projector ? untouched : stage).parameters()[i].value));
  }
}

TEST_CASE("all missing weights, wrong shapes and wrong types are named at once", "[models]") {
  const Modality m = fixture::whisper();
  const Folder folder;
  const std::vector<float> values(24 * 24 * 3);
  const std::vector<std::int64_t> ids(24);
  value_or_throw(
      formats::write_safetensors(folder.path() / "model.safetensors",
                                 {entry("conv1.weight", values, {24, 24, 3}, formats::DType::f32),
                                  entry("conv1.bias", ids, {24}, formats::DType::i64),
                                  entry("encoder.conv2.weight", values, {24, 24, 3}, formats::DType::f32)}));
  Stage stage(m, {0, 1}, comm::alone()->world(), {});
  const auto load = [&] { models::load_pretrained(folder.path(), m, stage.parameters()); };
  CHECK(failure_of(load, ExitCode::bad_data) ==
        folder.path().string() +
            " does not fit audio (whisper):\n"
            "  shape of conv1.weight: expected [24, 5, 3], got [24, 24, 3]\n"
            "  type of conv1.bias: I64 is no floating-point type\n"
            "  missing: model.encoder.conv2.bias");
}

TEST_CASE("a folder without weights is a missing input", "[models]") {
  const Modality m = fixture::whisper();
  const Folder folder;
  Stage stage(m, {0}, comm::alone()->world(), {});
  failure_of([&] { models::load_pretrained(folder.path(), m, stage.parameters()); }, ExitCode::missing_input);
}

TEST_CASE("a tensor at an odd address of the file is read", "[models]") {
  const Modality m = fixture::whisper();
  const Folder folder;
  std::vector<float> bias(24);
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i) / 4;
  const std::vector<float> weight(24 * 5 * 3, 0.5F);
  // An unpadded header of odd length, as some writers leave it.
  std::string header = R"({"conv1.bias":{"dtype":"F32","shape":[24],"data_offsets":[0,96]},)"
                       R"("conv1.weight":{"dtype":"F32","shape":[24,5,3],"data_offsets":[96,1536]}})";
  if (header.size() % 2 == 0) header += ' ';
  const std::uint64_t size = header.size();
  std::ofstream out(folder.path() / "model.safetensors", std::ios::binary);
  out.write(reinterpret_cast<const char*>(&size), 8).write(header.data(), static_cast<std::streamsize>(size));
  out.write(reinterpret_cast<const char*>(bias.data()), 96)
      .write(reinterpret_cast<const char*>(weight.data()), 1440);
  out.close();
  Stage stage(m, {0}, comm::alone()->world(), {});
  models::load_pretrained(folder.path(), m, stage.parameters());
  CHECK(stage.parameters()[0].value.eq(0.5).all().item<bool>());
  CHECK(stage.parameters()[1].value.equal(at::arange(24, at::kFloat) / 4));
}

// For tests/golden/check_export.py: golden models read and written again.
TEST_CASE("export the golden models", "[.export]") {
  const char* target = std::getenv("CORNSTARCH_EXPORT_DIR");
  REQUIRE(target != nullptr);
  for (const auto& folder :
       std::filesystem::directory_iterator(std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden/models")) {
    const std::string name = folder.path().filename();
    const std::string family = fixture::family_of(name);
    const Modality m =
        fixture::modality("m", family, value_or_throw(read_file(folder.path() / "config.json")));
    Stage stage = fixture::whole(m, at::kFloat);
    models::load_pretrained(folder.path(), m, stage.parameters());
    const auto dtype = name == "llama_bf16"   ? at::kBFloat16
                       : name == "llama_fp16" ? at::kHalf
                       : name == "llama_fp64" ? at::kDouble
                                              : at::kFloat;
    models::save_pretrained(std::filesystem::path(target) / name, m, tensors_of(stage), dtype);
  }
}
