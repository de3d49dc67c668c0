#include "cornstarch/catalog/resolve.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/lora.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/formats/safetensors.h"

using namespace cornstarch;
using namespace cornstarch::catalog;
namespace fs = std::filesystem;

namespace {

using Stages = std::vector<std::vector<int>>;
using Flags = std::vector<bool>;

/// The folder of a config, with what base.yaml names in it.
struct Folder {
  fs::path path = fs::temp_directory_path() / cat("cornstarch-resolve-", ::getpid());
  Folder() {
    fs::create_directories(path / "media");
    for (const char* file : {"train.jsonl", "eval.jsonl", "tokenizer.json"}) std::ofstream(path / file) << "";
  }
  ~Folder() { fs::remove_all(path); }
};

std::string base_config() {
  return read_file(fs::path(CORNSTARCH_TEST_DIR) / "golden/mistakes/base.yaml").value();
}

struct Outcome {
  std::optional<Modalities> modalities;
  std::string text;
};

Outcome resolve_with(const Folder& folder, const std::vector<std::string>& overrides,
                     const std::string& config = base_config()) {
  Diagnostics diagnostics;
  const auto loaded = config::load_text(config, "run.yaml", folder.path, overrides, diagnostics);
  REQUIRE(loaded);
  Outcome outcome{resolve(*loaded, diagnostics), {}};
  outcome.text = render_text(diagnostics);
  return outcome;
}

Modalities resolved(const std::vector<std::string>& overrides = {}) {
  const Folder folder;
  Outcome outcome = resolve_with(folder, overrides);
  INFO(outcome.text);
  REQUIRE(outcome.modalities);
  return std::move(*outcome.modalities);
}

/// Per module: whether any of its parameters trains.
Flags trained(const Modality& modality) {
  Flags out;
  for (const ModuleSpec& module : modality.spec.modules) out.push_back(trains(module));
  return out;
}

}  // namespace

TEST_CASE("modalities come in order of declaration, the LLM last") {
  const Modalities all = resolved();
  REQUIRE(all.size() == 3);
  CHECK(all[0].name == "vision");
  CHECK(all[1].name == "audio");
  CHECK(all[2].name == "llm");
  CHECK_FALSE(is_llm(all[0]));
  CHECK(is_llm(all[2]));
  CHECK(all[0].placeholder == "<image>");
  CHECK(all[1].placeholder == "<audio>");
  CHECK(all[0].spec.item_shape == Shape{3, 16, 16});
}

TEST_CASE("stages are module indices, ranges taken apart") {
  const Modalities all = resolved();
  CHECK(all[0].stages == Stages{{0, 1, 2, 3}, {4, 5, 6, 7}});
  CHECK(all[1].stages == Stages{{0, 1, 2, 3, 4, 5, 6}});
  CHECK(all[2].stages == Stages{{0, 1, 2, 3}, {4, 5, 6, 7, 8}});
  CHECK(all[0].tp == 2);
  CHECK(all[1].tp == 1);
  CHECK(all[2].tp == 4);
  CHECK(all[2].sp == 1);
  CHECK_FALSE(all[2].mode);
}

TEST_CASE("sp has a mode only above 1") {
  const std::string parallel = "model.llm.parallel.";
  const Modalities ring = resolved({parallel + "sp=2", parallel + "mode=ring_attn"});
  CHECK(ring[2].sp == 2);
  CHECK(ring[2].mode == config::SpMode::ring_attn);
  const Modalities swapped = resolved({parallel + "sp=2", parallel + "tp=2", parallel + "mode=all_to_all"});
  CHECK(swapped[2].mode == config::SpMode::all_to_all);
  CHECK_FALSE(resolved({parallel + "mode=ring_attn"})[2].mode);
}

TEST_CASE("layout single ignores parallel") {
  const Modalities all =
      resolved({"layout=single", "model.llm.parallel.tp=3", "model.llm.parallel.stages=[[nonsense]]"});
  for (const Modality& modality : all) {
    CHECK(modality.stages.empty());
    CHECK(modality.tp == 1);
    CHECK(modality.sp == 1);
  }
}

TEST_CASE("names of Cornstarch's users are understood") {
  const std::string vision = "model.encoders.vision.parallel.stages=";
  const Modalities all =
      resolved({vision + "[[module.vision_model.embeddings, module.vision_model.pre_layrnorm, "
                         "module.vision_model.encoder.layers.0..3], "
                         "[module.vision_model.post_layernorm, projector.in_proj, projector.activation, "
                         "projector.out_proj]]",
                "model.encoders.audio.parallel.stages=[[module.conv1, module.conv2, module.embed_positions, "
                "module.layers.0, "
                "module.layers.1, module.layer_norm, projector.projection]]",
                "model.llm.parallel.stages=[[model.embed_tokens, model.rotary_emb, model.layers.0..5, "
                "model.norm, lm_head]]"});
  CHECK(all[0].stages == Stages{{0, 1, 2, 3, 4, 5}, {6, 7}});
  CHECK(all[1].stages == Stages{{0, 1, 2, 3, 4, 5, 6}});
  CHECK(all[2].stages == Stages{{0, 1, 2, 3, 4, 5, 6, 7, 8}});
}

TEST_CASE("a projector cannot be split over stages") {
  const Folder folder;
  const Outcome outcome = resolve_with(
      folder, {"model.encoders.vision.parallel.stages=[[vision_model.embeddings, vision_model.pre_layrnorm, "
               "vision_model.encoder.layers.0..3, vision_model.post_layernorm, projector.in_proj], "
               "[projector.out_proj]]"});
  CHECK_FALSE(outcome.modalities);
  CHECK(outcome.text.find("'projector' is listed a second time [repeated_module]") != std::string::npos);
}

TEST_CASE("the projector's parameters, by its type") {
  const Modalities all = resolved();
  const ModuleSpec& mlp = all[0].spec.modules.back();
  CHECK(mlp.name == "projector");
  REQUIRE(mlp.params.size() == 4);
  CHECK(mlp.params[0].name == "projector.in_proj.weight");
  CHECK(mlp.params[0].shape == Shape{32, 32});
  CHECK(mlp.params[0].split == TpSplit{0, 1});
  CHECK(mlp.params[0].init == Init::normal);
  CHECK(mlp.params[0].init_std == 0.02);
  CHECK(mlp.params[1].split == TpSplit{0, 1});
  CHECK(mlp.params[1].init == Init::zeros);
  CHECK(mlp.params[2].name == "projector.out_proj.weight");
  CHECK(mlp.params[2].split == TpSplit{1, 1});
  CHECK(mlp.params[3].split == TpSplit{});
  CHECK(flops_of(mlp).per_place == 2.0 * (32 * 32 + 32 * 32));
  const ModuleSpec& linear = all[1].spec.modules.back();
  REQUIRE(linear.params.size() == 2);
  CHECK(linear.params[0].name == "projector.projection.weight");
  CHECK(linear.params[0].shape == Shape{32, 16});
  CHECK(linear.params[0].split == TpSplit{});
  CHECK(linear.params[1].name == "projector.projection.bias");
  CHECK_FALSE(std::get<Projector>(linear.body).in_proj);
}

TEST_CASE("without a projector features go to the LLM as they are, if they are as wide") {
  const std::string vision = "model.encoders.vision.projector.type=none";
  const Modalities all = resolved({vision});
  const ModuleSpec& none = all[0].spec.modules.back();
  CHECK(none.name == "projector");
  CHECK(none.params.empty());
  CHECK(flops_of(none).per_place == 0);
  CHECK(shape_behind(none, {4, 32}, 4) == Shape{4, 32});
  const Folder folder;
  const std::string narrow = resolve_with(folder, {"model.encoders.audio.projector.type=none"}).text;
  CHECK(narrow.find("without a projector 'audio' gives features 16 wide, the LLM takes 32 [bad_projector]") !=
        std::string::npos);
  const std::string audio = "model.encoders.audio.train.";
  const std::string frozen = resolve_with(folder, {vision, audio + "encoder=false", audio + "projector=false",
                                                   "model.llm.train=false"})
                                 .text;
  CHECK(frozen.find("nothing trains: every part is frozen [nothing_trains]") != std::string::npos);
}

TEST_CASE("Qwen2-VL's vision encoder makes its features itself") {
  const std::string vision = "model.encoders.vision.";
  const std::vector<std::string> qwen = {
      vision + "family=qwen2_vl_vision", vision + "feature_layer=-1", vision + "feature_select=full",
      vision + "config={depth: 1, embed_dim: 16, hidden_size: 32, num_heads: 2}",
      vision + "parallel.stages=[[patch_embed, blocks.0, merger, projector]]"};
  const auto with = [&](const std::string& more) {
    std::vector<std::string> lines = qwen;
    lines.push_back(vision + more);
    return lines;
  };
  const Modalities all = resolved(with("projector.type=none"));
  CHECK(features_of(all[0], {1, 4, 6}) == 6);
  CHECK(feature_grid(all[0], {2, 4, 6}) == Extents{2, 2, 3});
  CHECK(lora_targets(all[0].spec) == std::vector<std::string>{"proj", "fc1", "fc2"});
  const Folder folder;
  CHECK(resolve_with(folder, with("projector.avg_pool=2"))
            .text.find("avg_pool is of items of one size, 'vision' takes any [bad_pool]") !=
        std::string::npos);
}

TEST_CASE("what is used and what trains") {
  // embeddings, pre_layrnorm, layers 0-3, post_layernorm, projector; feature_layer -2
  const Modalities all = resolved();
  CHECK(all[0].used == Flags{true, true, true, true, true, false, false, true});
  CHECK(trained(all[0]) == Flags{false, false, false, false, false, false, false, true});
  CHECK(all[0].drop_tokens == 1);
  CHECK(features_of(all[0], *fixed_extents(all[0].spec)) == 4);
  // conv1, conv2, embed_positions (fixed), layers 0-1, layer_norm, projector
  CHECK(all[1].used == Flags(7, true));
  CHECK(trained(all[1]) == Flags{true, true, false, true, true, true, true});
  CHECK(features_of(all[1], *fixed_extents(all[1].spec)) == 10);
  CHECK(trained(all[2]) == Flags(9, true));
  CHECK(all[2].used == Flags(9, true));
}

TEST_CASE("feature_layer counts as HF's hidden_states do") {
  const auto used = [](const std::string& modality, int layer) {
    const Modalities all = resolved({cat("model.encoders.", modality, ".feature_layer=", layer),
                                     "model.encoders.vision.train.encoder=true"});
    return modality == "vision" ? all[0].used : all[1].used;
  };
  CHECK(used("vision", -1) == Flags{true, true, true, true, true, true, false, true});
  CHECK(used("vision", -5) == Flags{true, true, false, false, false, false, false, true});
  CHECK(used("audio", -1) == Flags(7, true));
  // Whisper's last hidden state is behind its layer_norm, the others are not.
  CHECK(used("audio", -2) == Flags{true, true, true, true, false, false, true});
  CHECK(used("audio", -3) == Flags{true, true, true, false, false, false, true});
}

TEST_CASE("what is not used does not train") {
  const Modalities all = resolved({"model.encoders.vision.train.encoder=true"});
  CHECK(trained(all[0]) == Flags{true, true, true, true, true, false, false, true});
  const Modalities frozen = resolved({"model.llm.train=false", "model.encoders.audio.train.projector=false"});
  CHECK(trained(frozen[2]) == Flags(9, false));
  CHECK(trained(frozen[1]) == Flags{true, true, false, true, true, true, false});
}

TEST_CASE("lists say which modules train") {
  const std::string llm = "model.llm.", audio = "model.encoders.audio.";
  // embed_tokens, layers 0-5, norm, lm_head
  Modalities all = resolved({llm + "train_except=[model.embed_tokens, model.layers.0..2, model.rotary_emb]"});
  CHECK(trained(all[2]) == Flags{false, false, false, false, true, true, true, true, true});
  all = resolved({llm + "train_only=[model.layers.1..3, model.norm]", llm + "train_except=[model.layers.2]"});
  CHECK(trained(all[2]) == Flags{false, false, true, false, true, false, false, true, false});
  // conv1, conv2, embed_positions (fixed), layers 0-1, layer_norm, projector
  all = resolved({audio + "train_only=[module.layers.1, projector.projection]"});
  CHECK(trained(all[1]) == Flags{false, false, false, false, true, false, true});
  all = resolved({audio + "train_except=[projector, conv1]"});
  CHECK(trained(all[1]) == Flags{false, true, false, true, true, true, false});
  CHECK(trained(resolved({audio + "train_only=[]"})[1]) == Flags(7, false));
  // What `train` freezes stays frozen.
  all = resolved({audio + "train.projector=false", audio + "train_except=[layers.0]"});
  CHECK(trained(all[1]) == Flags{true, true, false, false, true, true, false});
}

TEST_CASE("a module trains with all of its parameters but the fixed ones") {
  const Modalities all = resolved({"model.llm.train_only=[model.layers.1]"});
  for (const ModuleSpec& module : all[2].spec.modules)
    for (const ParamSpec& param : module.params) {
      CAPTURE(param.name);
      CHECK(param.trains == (module.name == "model.layers.1"));
    }
}

TEST_CASE("adapters train in place of the model's own weights, split over tp as their layers are") {
  const Modalities all =
      resolved({"model.llm.lora={rank: 3, alpha: 6, dropout: 0.25, targets: [q_proj, down_proj]}"});
  CHECK(trained(all[2]) == Flags{false, true, true, true, true, true, true, false, false});
  const ModuleSpec& layer = all[2].spec.modules[1];
  const auto& block = std::get<BlockSpec>(layer.body);
  CHECK(block.attention.q.lora->scale == 2);
  CHECK(block.attention.q.lora->dropout == 0.25);
  CHECK_FALSE(block.attention.k.lora);
  const auto find = [&](const std::string& end) {
    for (const ParamSpec& p : layer.params)
      if (p.name.ends_with(end)) return p;
    FAIL("no " << end);
    return ParamSpec{};
  };
  const std::int64_t hidden = all[2].spec.hidden_size;
  const ParamSpec qa = find("q_proj.lora_A.weight"), qb = find("q_proj.lora_B.weight");
  CHECK((qa.shape == Shape{3, hidden} && qa.split.dim == -1 && qa.sums_over_tp && qa.init == Init::normal));
  CHECK((qb.shape == Shape{block.attention.q.out, 3} && qb.split == find("q_proj.weight").split &&
         !qb.sums_over_tp));
  CHECK(qb.init == Init::zeros);
  const ParamSpec da = find("down_proj.lora_A.weight"), db = find("down_proj.lora_B.weight");
  CHECK((da.shape == Shape{3, block.feed_forward.down.in} && da.split == find("down_proj.weight").split));
  CHECK((db.split.dim == -1 && db.sums_over_tp));
  for (const ParamSpec& p : layer.params) CHECK(p.trains == p.of_adapter);
  CHECK(flops_of(layer).of_adapters ==
        2.0 * 3 * static_cast<double>(hidden + block.attention.q.out + block.feed_forward.down.in + hidden));
}

TEST_CASE("all-linear gives every layer of the blocks an adapter; an encoder's projector trains as it did") {
  const Modalities all = resolved(
      {"model.encoders.vision.train.encoder=true", "model.encoders.vision.lora={targets: [all-linear]}"});
  CHECK(all[0].lora->targets ==
        std::vector<std::string>{"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"});
  for (const ModuleSpec& module : all[0].spec.modules)
    for (const ParamSpec& param : module.params) {
      CAPTURE(param.name);
      CHECK((!param.trains || param.of_adapter || param.name.starts_with("projector.")));
    }
}

TEST_CASE("adapters that there cannot be") {
  const Folder folder;
  const auto said = [&](const std::string& value) {
    std::string text = resolve_with(folder, {value}).text;
    for (std::size_t at; (at = text.find(folder.path.string())) != std::string::npos;)
      text.replace(at, folder.path.string().size(), "$");
    return text;
  };
  const std::string media = (folder.path / "media").string();
  CHECK(said("model.llm.lora={targets: [q_prj]}").find("'llm' has no layers called 'q_prj'") !=
        std::string::npos);
  CHECK(said("model.llm.lora={targets: [q_prj]}").find("did you mean 'q_proj'?") != std::string::npos);
  CHECK(said("model.encoders.vision.lora={targets: [fc1]}")
            .find("'model.encoders.vision.lora' has nothing to train: ") != std::string::npos);
  CHECK(said("model.llm.lora={targets: [q_proj], pretrained: " + media + "}")
            .find("'$/media' has no adapter_config.json that can be read") != std::string::npos);
  std::ofstream(folder.path / "media" / "adapter_config.json")
      << R"({"r": 4, "lora_alpha": 16, "use_dora": true, "use_rslora": false, "rank_pattern": {},
           "lora_dropout": 0.1})";
  const std::string text = said("model.llm.lora={rank: 8, targets: [q_proj], pretrained: " + media + "}");
  INFO(text);
  CHECK(text.find("the adapters in '$/media' have r 4 (adapter_config.json), the "
                  "config says 8") != std::string::npos);
  CHECK(text.find("set rank: 4") != std::string::npos);
  CHECK(text.find("have use_dora true, which is not known") != std::string::npos);
  CHECK(text.find("lora_alpha") == std::string::npos);
  CHECK(text.find(
            "warning: the adapters in '$/media' were trained with lora_dropout 0.1 (adapter_config.json), "
            "the config says 0") != std::string::npos);
  CHECK(text.find("help: to go on as they were trained, set dropout: 0.1") != std::string::npos);
}

TEST_CASE("what shares a weight can be frozen together") {
  const Folder folder;
  std::string config = base_config();
  const std::string sizes = "max_position_embeddings: 128";
  config.insert(config.find(sizes) + sizes.size(), ", tie_word_embeddings: true");
  const Outcome outcome =
      resolve_with(folder, {"model.llm.train_except=[model.embed_tokens, lm_head]"}, config);
  INFO(outcome.text);
  REQUIRE(outcome.modalities);
  CHECK(trained(outcome.modalities->back()) == Flags{false, true, true, true, true, true, true, true, false});
}

namespace {

const ParamSpec& param(const Modality& modality, const std::string& name) {
  for (const ModuleSpec& module : modality.spec.modules)
    for (const ParamSpec& p : module.params)
      if (p.name == name) return p;
  throw std::runtime_error(name);
}

}  // namespace

TEST_CASE("every part has the optimizer's rates, or its own") {
  Modalities all = resolved();
  for (const Modality& modality : all)
    for (const ModuleSpec& module : modality.spec.modules)
      for (const ParamSpec& p : module.params) {
        CAPTURE(p.name);
        CHECK(p.lr_factor == 1);
        CHECK(p.weight_decay == (p.shape.size() >= 2 ? 0.1 : 0));
      }
  const std::string vision = "model.encoders.vision.";
  all = resolved({vision + "train.encoder=true", vision + "optimizer.encoder.lr=5.0e-4",
                  vision + "optimizer.projector={lr: 2.0e-3, weight_decay: 0.5}",
                  "model.llm.optimizer.weight_decay=0"});
  CHECK(param(all[0], "vision_model.encoder.layers.0.mlp.fc1.weight").lr_factor == 0.5);
  CHECK(param(all[0], "vision_model.encoder.layers.0.mlp.fc1.weight").weight_decay == 0.1);
  CHECK(param(all[0], "projector.in_proj.weight").lr_factor == 2);
  CHECK(param(all[0], "projector.in_proj.weight").weight_decay == 0.5);
  CHECK(param(all[0], "projector.in_proj.bias").lr_factor == 2);
  CHECK(param(all[0], "projector.in_proj.bias").weight_decay == 0);
  CHECK(param(all[1], "projector.projection.weight").lr_factor == 1);
  CHECK(param(all[2], "lm_head.weight").weight_decay == 0);
  CHECK(param(all[2], "lm_head.weight").lr_factor == 1);
}

TEST_CASE("which parameters have no weight decay") {
  const std::string vision = "model.encoders.vision.";
  const std::vector<std::string> names = {"vision_model.embeddings.class_embedding",
                                          "vision_model.pre_layrnorm.weight",
                                          "vision_model.pre_layrnorm.bias",
                                          "vision_model.encoder.layers.0.mlp.fc1.bias",
                                          "vision_model.embeddings.position_embedding.weight",
                                          "projector.in_proj.bias"};
  const auto decayed = [&](const std::vector<std::string>& flags) {
    const Modalities all = resolved(flags);
    Flags out;
    for (const std::string& name : names) out.push_back(param(all[0], name).weight_decay != 0);
    return out;
  };
  CHECK(decayed({}) == Flags{false, false, false, false, true, false});
  CHECK(decayed({"optimizer.no_decay=norms_and_biases"}) == Flags{true, false, false, false, true, false});
  CHECK(decayed({"optimizer.no_decay=nothing"}) == Flags{true, true, true, true, true, true});
  CHECK(decayed({"optimizer.no_decay=nothing", vision + "train.encoder=true",
                 vision + "optimizer.encoder.no_decay=vectors"}) ==
        Flags{false, false, false, false, true, true});
  CHECK(decayed({vision + "optimizer.projector.no_decay=nothing"}) ==
        Flags{false, false, false, false, true, true});
}

TEST_CASE("no encoder at all is a text model") {
  const Folder folder;
  std::string config = base_config();
  const std::size_t begin = config.find("  encoders:\n"), end = config.find("  llm:\n");
  config.erase(begin, end - begin);
  const Outcome outcome = resolve_with(folder, {}, config);
  INFO(outcome.text);
  REQUIRE(outcome.modalities);
  CHECK(outcome.modalities->size() == 1);
}

namespace {

/// Writes `spec`'s weights as zeros, but for those that `skip` names, `reshaped` by one row; `extra` are no
/// weights of it.
void write_weights(const fs::path& folder, const std::string& family, const std::string& config,
                   const std::string& skip = {}, const std::string& reshaped = {},
                   formats::DType dtype = formats::DType::f32, const std::vector<std::string>& extra = {}) {
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << config;
  const SpecResult result = make_spec(family, config);
  REQUIRE(result.spec);
  const std::vector<std::byte> zeros(std::size_t{1} << 20);
  std::vector<formats::TensorToWrite> tensors;
  for (const ModuleSpec& module : result.spec->modules) {
    for (const ParamSpec& param : module.params) {
      if (param.name == skip || !param.tied_to.empty()) continue;
      Shape shape = param.shape;
      if (param.name == reshaped) ++shape[0];
      std::size_t bytes = static_cast<std::size_t>(formats::size_of(dtype));
      for (const std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
      tensors.push_back(
          {weight_names(family, param.name).back(), dtype, shape, std::span(zeros).first(bytes)});
    }
  }
  for (const std::string& name : extra)
    tensors.push_back(
        {name, dtype, {1}, std::span(zeros).first(static_cast<std::size_t>(formats::size_of(dtype)))});
  REQUIRE(formats::write_safetensors(folder / "model.safetensors", tensors));
}

const char* const kLlama =
    R"({"model_type": "llama", "vocab_size": 60, "hidden_size": 32, "intermediate_size": 40,
  "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4, "tie_word_embeddings": true,
  "some_key_of_another_tool": 1})";

const char* const kClip =
    R"({"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48,
  "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 16, "patch_size": 8})";

std::vector<std::string> messages(const Folder& folder, const std::string& section,
                                  const std::string& hf_folder,
                                  const std::vector<std::string>& overrides = {}) {
  std::string config = base_config();
  const std::size_t at = config.find("config:", config.find(section));
  config.replace(at, config.find('\n', at) - at, cat("pretrained: ", hf_folder));
  Diagnostics diagnostics;
  const auto loaded = config::load_text(config, "run.yaml", folder.path, overrides, diagnostics);
  REQUIRE(loaded);
  const bool ok = resolve(*loaded, diagnostics).has_value();
  CHECK(ok != diagnostics.has_errors());
  std::vector<std::string> out;
  const std::string root = folder.path.string();
  for (const Diagnostic& d : diagnostics.sorted()) {
    std::string text = cat(d.message, d.help.empty() ? "" : " | ", d.help);
    const std::size_t found = text.find(root);
    if (found != std::string::npos) text = cat(text.substr(0, found), "$", text.substr(found + root.size()));
    out.push_back(text);
  }
  return out;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a folder with all weights is accepted, under any of their names") {
  const Folder folder;
  write_weights(folder.path / "llama", "llama", kLlama);
  CHECK(messages(folder, "  llm:", "llama") == Lines{});
  write_weights(folder.path / "half", "llama", kLlama, {}, {}, formats::DType::bf16);
  CHECK(messages(folder, "  llm:", "half") == Lines{});
}

TEST_CASE("weights that are missing or do not fit are told before any training") {
  const Folder folder;
  write_weights(folder.path / "short", "llama", kLlama, "model.layers.3.mlp.up_proj.weight");
  CHECK(messages(folder, "  llm:", "short") ==
        Lines{"'$/short': 1 of 56 weights are missing, the first is 'model.layers.3.mlp.up_proj.weight' | "
              "looked for "
              "under model.layers.3.mlp.up_proj.weight, layers.3.mlp.up_proj.weight"});
  write_weights(folder.path / "wide", "llama", kLlama, {}, "model.norm.weight");
  CHECK(messages(folder, "  llm:", "wide") ==
        Lines{"'$/wide': weight 'model.norm.weight' has the shape [33], expected [32]"});
  write_weights(folder.path / "ints", "llama", kLlama, {}, {}, formats::DType::i32);
  CHECK(messages(folder, "  llm:", "ints") ==
        Lines{"'$/ints': 53 more weights do not fit",
              "'$/ints': weight 'model.embed_tokens.weight' is of dtype I32, no floating-point numbers",
              "'$/ints': weight 'model.layers.0.input_layernorm.weight' is of dtype I32, no floating-point "
              "numbers",
              "'$/ints': weight 'model.layers.0.self_attn.q_proj.weight' is of dtype I32, no floating-point "
              "numbers"});
}

TEST_CASE("weights that the model has no place for are an error") {
  const Folder folder;
  const auto said = [&](const std::vector<std::string>& extra) {
    write_weights(folder.path / "more", "llama", kLlama, {}, {}, formats::DType::f32, extra);
    return messages(folder, "  llm:", "more");
  };
  const std::string ignore = "names and patterns under model.llm.ignore_weights are left out";
  // Qwen2, called a llama by hand.
  std::vector<std::string> biases;
  for (int layer = 0; layer < 6; ++layer) {
    for (const char* name : {"q", "k", "v"})
      biases.push_back(cat("model.layers.", layer, ".self_attn.", name, "_proj.bias"));
  }
  CHECK(
      said(biases) ==
      Lines{
          "'$/more': a model of family 'llama' has no place for 18 weights: "
          "model.layers.*.self_attn.k_proj.bias, model.layers.*.self_attn.q_proj.bias, "
          "model.layers.*.self_attn.v_proj.bias | queries, keys and values with biases, but not the output, "
          "are Qwen2's; " +
          ignore});
  CHECK(said({"model.layers.0.self_attn.o_proj.bias", "model.layers.0.self_attn.q_proj.bias"}) ==
        Lines{"'$/more': a model of family 'llama' has no place for 2 weights: "
              "model.layers.*.self_attn.o_proj.bias, model.layers.*.self_attn.q_proj.bias | they are a "
              "Llama's with "
              "attention_bias: true in config.json; " +
              ignore});
  CHECK(said({"a", "b", "c", "d", "e", "f"}) == Lines{"'$/more': a model of family 'llama' has no place for "
                                                      "6 weights: a, b, c, d and 2 more | are family and "
                                                      "config.json those of this folder? Names and patterns "
                                                      "under model.llm.ignore_weights are left out"});
  CHECK(said({"base.layers.0.lora_A.weight"}) ==
        Lines{"'$/more': a model of family 'llama' has no place for 1 weight: base.layers.*.lora_A.weight | "
              "they are "
              "LoRA adapters: merge them into the model first (PEFT's merge_and_unload); " +
              ignore});
}

TEST_CASE("weights that the model does without") {
  const Folder folder;
  // kLlama is tied: its lm_head is the embedding.
  write_weights(
      folder.path / "llama", "llama", kLlama, {}, {}, formats::DType::f32,
      {"lm_head.weight", "model.layers.0.self_attn.rotary_emb.inv_freq", "score.weight", "v_head.0.bias"});
  CHECK(messages(folder, "  llm:", "llama").size() == 1);
  CHECK(messages(folder, "  llm:", "llama", {"model.llm.ignore_weights=[score.weight, \"v_head.*\"]"}) ==
        Lines{});
  write_weights(
      folder.path / "clip", "clip_vision_model", kClip, {}, {}, formats::DType::f32,
      {"text_model.final_layer_norm.bias", "logit_scale", "visual_projection.weight",
       "text_projection.weight", "vision_model.embeddings.position_ids", "embeddings.position_ids"});
  CHECK(messages(folder, "vision:", "clip") == Lines{});
  write_weights(folder.path / "clip", "clip_vision_model", kClip, {}, {}, formats::DType::f32,
                {"text_modelx"});
  CHECK(messages(folder, "vision:", "clip").size() == 1);
}

TEST_CASE("weights of a whole checkpoint lie under other names") {
  const Folder folder;
  write_weights(folder.path / "llava", "llama", kLlama);
  const auto weights = formats::WeightsFolder::open(folder.path / "llava");
  REQUIRE(weights);
  const std::vector<std::byte> zero(4);
  std::vector<formats::TensorToWrite> tensors = {{"vision_tower.x", formats::DType::f32, {1}, zero}};
  for (const std::string& name : weights->names())
    tensors.push_back({"language_model.model." + name, formats::DType::f32, {1}, zero});
  REQUIRE(formats::write_safetensors(folder.path / "llava/model.safetensors", tensors));
  CHECK(messages(folder, "  llm:", "llava") ==
        Lines{"'$/llava': 56 of 56 weights are missing, the first is 'model.embed_tokens.weight' | looked "
              "for under "
              "model.embed_tokens.weight, embed_tokens.weight; the folder has "
              "'language_model.model.embed_tokens.weight': of a whole checkpoint, every model needs a folder "
              "of its "
              "own"});
  std::ofstream(folder.path / "llava/config.json")
      << R"({"model_type": "llava", "text_config": {"model_type": "llama"}, "vision_config": {"model_type": "clip"}})";
  CHECK(
      messages(folder, "  llm:", "llava") ==
      Lines{"'$/llava': config.json: model_type: 'llava' is a whole checkpoint: encoder and language model "
            "in one | "
            "declare its parts separately, each read from the whole by its name (pretrained: "
            "FOLDER#vision, FOLDER#llm): its encoder under model.encoders (family: clip_vision_model), its "
            "language model under model.llm (family: llama); 'cornstarch-train import' writes such a config; "
            "its weights lie under "
            "language_model., vision_tower."});
}

TEST_CASE("a projector beside an encoder's weights is checked, if there is one") {
  const Folder folder;
  write_weights(folder.path / "clip", "clip_vision_model", kClip);
  CHECK(messages(folder, "vision:", "clip") == Lines{});
  const std::vector<std::byte> zeros(4096);
  const auto write = [&](const Shape& bias) {
    const auto bytes = [&](std::size_t numel) { return std::span(zeros).first(4 * numel); };
    const auto f32 = formats::DType::f32;
    const std::size_t size = static_cast<std::size_t>(bias[0]);
    REQUIRE(formats::write_safetensors(folder.path / "clip/projector.safetensors",
                                       {{"projector.in_proj.weight", f32, {32, 32}, bytes(1024)},
                                        {"projector.in_proj.bias", f32, bias, bytes(size)},
                                        {"projector.out_proj.weight", f32, {32, 32}, bytes(1024)},
                                        {"projector.out_proj.bias", f32, {32}, bytes(32)}}));
  };
  write({32});
  CHECK(messages(folder, "vision:", "clip") == Lines{});
  write({16});
  CHECK(messages(folder, "vision:", "clip") ==
        Lines{"'$/clip': weight 'projector.in_proj.bias' has the shape [16], expected [32]"});
}

TEST_CASE("a projector may average features: squares of a picture's patches, neighbours in a sound") {
  const std::string vision = "model.encoders.vision.", audio = "model.encoders.audio.",
                    pool = "projector.avg_pool=";
  const Modalities all = resolved({vision + pool + "2", audio + pool + "3"});
  const auto pool_of = [](const Modality& m) {
    return *std::get<Projector>(m.spec.modules.back().body).pool;
  };
  CHECK((pool_of(all[0]).rows == 2 && pool_of(all[0]).columns == 2 && pool_of(all[0]).row_stride == 2));
  CHECK((pool_of(all[1]).rows == 1 && pool_of(all[1]).columns == 10 && pool_of(all[1]).column_stride == 3));
  CHECK(features_of(all[0], *fixed_extents(all[0].spec)) == 1);
  CHECK(features_of(all[1], *fixed_extents(all[1].spec)) == 3);
  CHECK(all[0].projector_config.find(R"("avg_pool": 2)") != std::string::npos);
  CHECK_FALSE(std::get<Projector>(resolved({vision + pool + "1"})[0].spec.modules.back().body).pool);
  const Folder folder;
  const std::string text = resolve_with(folder, {vision + pool + "3", audio + pool + "11"}).text;
  CHECK(
      text.find("avg_pool 3 is more than the 2 features beside each other that 'vision' gives [bad_pool]") !=
      std::string::npos);
  CHECK(
      text.find("avg_pool 11 is more than the 10 features beside each other that 'audio' gives [bad_pool]") !=
      std::string::npos);
  const std::string full = resolve_with(folder, {vision + pool + "2", vision + "feature_select=full"}).text;
  CHECK(full.find("avg_pool is of patches, which the class token is none of [bad_pool]") !=
        std::string::npos);
  CHECK(full.find("use feature_select: patch") != std::string::npos);
}

TEST_CASE("a projector of another kind is told by name") {
  const std::string own = resolved().front().projector_config;  // leaves no folder behind
  const Folder folder;
  const fs::path clip = folder.path / "clip";
  write_weights(clip, "clip_vision_model",
                R"({"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 48,
                    "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": 16, "patch_size": 8})");
  const std::vector<std::byte> zeros(4096);
  const auto tensor = [&](const std::string& name, const Shape& shape) {
    const std::size_t numel = static_cast<std::size_t>(shape[0] * (shape.size() > 1 ? shape[1] : 1));
    return formats::TensorToWrite{"projector." + name, formats::DType::f32, shape,
                                  std::span(zeros).first(4 * numel)};
  };
  REQUIRE(formats::write_safetensors(clip / "projector.safetensors", {tensor("projection.weight", {32, 32}),
                                                                      tensor("projection.bias", {32})}));
  CHECK(messages(folder, "vision:", "clip") ==
        Lines{"'$/clip' holds a linear projector (projector.safetensors has projection), the config asks for "
              "an mlp "
              "one | set projector.type: linear"});
  REQUIRE(formats::write_safetensors(clip / "projector.safetensors",
                                     {tensor("in_proj.weight", {32, 32}), tensor("in_proj.bias", {32}),
                                      tensor("out_proj.weight", {32, 32}), tensor("out_proj.bias", {32})}));
  std::ofstream(clip / "projector_config.json") << R"({"type": "mlp", "activation": "silu"})";
  CHECK(messages(folder, "vision:", "clip") == Lines{"'$/clip' holds a projector with the activation "
                                                     "\"silu\" (projector_config.json), the config asks for "
                                                     "\"gelu\" | set projector.activation: silu"});
  std::ofstream(clip / "projector_config.json")
      << R"({"type": "mlp", "activation": "gelu", "feature_layer": -3, "feature_select": "full"})";
  CHECK(
      messages(folder, "vision:", "clip") ==
      Lines{
          "the projector in '$/clip' learnt from feature_layer -3 (projector_config.json), the config gives "
          "it -2 "
          "| set feature_layer: -3",
          "the projector in '$/clip' learnt from feature_select \"full\" (projector_config.json), the config "
          "gives it \"patch\" | set feature_select: full"});
  std::ofstream(clip / "projector_config.json") << R"({"type": "mlp", "activation": "gelu", "avg_pool": 2})";
  CHECK(messages(folder, "vision:", "clip") == Lines{"the projector in '$/clip' learnt from avg_pool 2 "
                                                     "(projector_config.json), the config gives it 1 | set "
                                                     "projector.avg_pool: 2"});
  CHECK(own == R"({
  "type": "mlp",
  "activation": "gelu",
  "input_size": 32,
  "output_size": 32,
  "feature_layer": -2,
  "feature_select": "patch"
}
)");
  std::ofstream(clip / "projector_config.json") << own;
  CHECK(messages(folder, "vision:", "clip") == Lines{});
}

TEST_CASE("names with numbers that follow each other are drawn together") {
  CHECK(compress_modules({"a", "l.0", "l.1", "l.2", "b", "l.4", "l.6", "m.7"}) ==
        Lines{"a", "l.0..2", "b", "l.4", "l.6", "m.7"});
  CHECK(compress_modules({}) == Lines{});
  for (const std::string& name : compress_modules({"x.y.8", "x.y.9", "x.y.10"})) {
    CHECK(config::expand_module_range(name).value() == Lines{"x.y.8", "x.y.9", "x.y.10"});
  }
}
