#include "cornstarch/catalog/whole_model.h"

#include <unistd.h>

#include <fstream>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"

using namespace cornstarch;
using namespace cornstarch::catalog;

namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / cat("cornstarch-whole-test-", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path / name) << text; }
};

/// A folder with the config.json of a published checkpoint.
void write_config(const Folder& folder, const std::string& model) {
  const auto path = fs::path(CORNSTARCH_TEST_DIR) / "golden/hf_configs" / (model + ".json");
  folder.write("config.json", read_file(path).value());
}

std::int64_t params(const std::string& family, const std::string& place) {
  const SpecResult result = make_spec(family, read_model_config(place).value());
  INFO(join(result.problems, "\n"));
  REQUIRE(result.spec);
  std::int64_t total = 0;
  for (const ModuleSpec& module : result.spec->modules) total += num_params(module);
  return total;
}

}  // namespace

TEST_CASE("a place is a folder, or a part of one") {
  const Folder folder;
  CHECK(place_of("a/b").folder == "a/b");
  CHECK(place_of("a/b").part.empty());
  CHECK(place_of("a/b#llm").folder == "a/b");
  CHECK(place_of("a/b#llm").part == "llm");
  const std::string marked = folder.path / "c#llm";
  fs::create_directories(marked);
  CHECK(place_of(marked).folder == marked);
  CHECK(place_of(marked).part.empty());
}

TEST_CASE("published whole checkpoints, as a run trains them") {
  struct Expected {
    std::string model, encoder, llm;
    std::int64_t encoder_params, llm_params;
    config::ProjectorType projector;
    int avg_pool;
  };
  using config::ProjectorType;
  const std::vector<Expected> all = {
      {"llava-1.5-7b-hf", "clip_vision_model", "llama", 303507456, 6738939904, ProjectorType::mlp, 1},
      {"Qwen2-VL-7B-Instruct", "qwen2_vl_vision", "qwen2_vl_text", 675759104, 7615616512, ProjectorType::none,
       1},
      {"Qwen2.5-VL-7B-Instruct", "qwen2_5_vl_vision", "qwen2_5_vl_text", 676550144, 7615616512,
       ProjectorType::none, 1},
      {"gemma-3-4b-it", "siglip_vision_model", "gemma3_text", 416866032, 3880263168,
       ProjectorType::norm_linear, 4}};
  for (const Expected& expected : all) {
    INFO(expected.model);
    const Folder folder;
    write_config(folder, expected.model);
    const auto whole = read_whole(folder.path);
    REQUIRE(whole);
    REQUIRE(whole->model.encoders.size() == 1);
    const config::Encoder& encoder = whole->model.encoders[0];
    CHECK(encoder.name == "vision");
    CHECK(encoder.family == expected.encoder);
    CHECK(encoder.pretrained == folder.path.string() + "#vision");
    CHECK(encoder.projector.type == expected.projector);
    CHECK(encoder.projector.avg_pool == expected.avg_pool);
    CHECK(whole->model.llm.family == expected.llm);
    CHECK(whole->model.llm.pretrained == folder.path.string() + "#llm");
    CHECK(params(expected.encoder, *encoder.pretrained) == expected.encoder_params);
    CHECK(params(expected.llm, *whole->model.llm.pretrained) == expected.llm_params);
  }
}

TEST_CASE("LLaVA's features are the last layer's but one, without the class token") {
  const Folder folder;
  write_config(folder, "llava-1.5-7b-hf");
  const config::Encoder encoder = read_whole(folder.path).value().model.encoders[0];
  CHECK(encoder.feature_layer == -2);
  CHECK(encoder.feature_select == config::FeatureSelect::patch);
  CHECK(encoder.projector.activation == "gelu");
  const std::string text = read_file(folder.path / "config.json").value();
  std::string counted = text;
  counted.replace(counted.find("\"vision_feature_layer\": -2"), 26, "\"vision_feature_layer\": 23");
  folder.write("config.json", counted);
  CHECK(read_whole(folder.path).value().model.encoders[0].feature_layer == -2);
  counted = text;
  counted.replace(counted.find("\"vision_feature_layer\": -2"), 26, "\"vision_feature_layer\": 99");
  folder.write("config.json", counted);
  CHECK(read_whole(folder.path).error().message ==
        cat("'", folder.path.string(),
            "': config.json: vision_feature_layer: is outside of the encoder's 24 layers: 99"));
}

TEST_CASE("what tensors of whole checkpoints are, in files of any age") {
  const auto said = [](const std::string& type, const std::string& tensor) {
    const PartName name = part_name(type, tensor);
    return cat(name.part, ": ", name.name, name.transposed ? " transposed" : "");
  };
  CHECK(said("llava", "language_model.model.layers.0.mlp.up_proj.weight") ==
        "llm: model.layers.0.mlp.up_proj.weight");
  CHECK(said("llava", "model.language_model.norm.weight") == "llm: model.norm.weight");
  CHECK(said("llava", "language_model.lm_head.weight") == "llm: lm_head.weight");
  CHECK(said("llava", "lm_head.weight") == "llm: lm_head.weight");
  CHECK(said("llava", "model.vision_tower.vision_model.x") == "vision: vision_model.x");
  CHECK(said("llava", "vision_tower.embeddings.x") == "vision: embeddings.x");
  CHECK(said("llava", "multi_modal_projector.linear_1.bias") == "projector: projector.in_proj.bias");
  CHECK(said("llava", "image_newline") == ": image_newline");
  CHECK(said("llava_next", "image_newline") == "tiles: image_newline");
  CHECK(said("qwen2_vl", "model.layers.0.x") == "llm: model.layers.0.x");
  CHECK(said("qwen2_vl", "model.language_model.layers.0.x") == "llm: model.layers.0.x");
  CHECK(said("qwen2_vl", "model.visual.blocks.0.x") == "vision: blocks.0.x");
  CHECK(said("gemma3", "model.multi_modal_projector.mm_input_projection_weight") ==
        "projector: projector.projection.weight transposed");
  CHECK(said("qwen2_audio", "audio_tower.conv1.bias") == "audio: conv1.bias");
  CHECK(said("qwen2_audio", "multi_modal_projector.linear.bias") == "projector: projector.projection.bias");
  CHECK(said("qwen2_audio", "language_model.model.norm.weight") == "llm: model.norm.weight");
}

TEST_CASE("what transformers' classes call a part's tensors") {
  const auto said = [](const std::string& type, const std::string& part, const std::string& own) {
    const auto name = name_in_class(type, {part, own});
    return name.name + (name.transposed ? " transposed" : "");
  };
  CHECK(said("llava", "llm", "model.layers.0.mlp.up_proj") == "model.language_model.layers.0.mlp.up_proj");
  CHECK(said("llava", "vision", "encoder.layers.0") == "model.vision_tower.encoder.layers.0");
  CHECK(said("llava", "projector", "projector.out_proj.bias") == "model.multi_modal_projector.linear_2.bias");
  CHECK(said("gemma3", "projector", "projector.projection.weight") ==
        "model.multi_modal_projector.mm_input_projection_weight transposed");
  CHECK(said("qwen2_audio", "audio", "layers.0.x") == "model.audio_tower.layers.0.x");
  CHECK(said("qwen2_vl", "llm", "model.layers.0.x") == "model.language_model.layers.0.x");
  CHECK(said("qwen2_vl", "vision", "merger.mlp.0.weight") == "model.visual.merger.mlp.0.weight");
}

TEST_CASE("parts that are not there are told") {
  const Folder folder;
  const std::string place = folder.path.string();
  write_config(folder, "llava-1.5-7b-hf");
  const auto part = read_model_config(place + "#vison");
  CHECK(part.error().message == cat("'", place, "' has no part 'vison'"));
  CHECK(part.error().help == "did you mean 'vision'? A llava checkpoint has vision, llm");
  write_config(folder, "Llama-3.2-1B");
  const auto whole = open_weights(place + "#llm");
  CHECK(whole.error().message ==
        cat("'", place, "' is no whole checkpoint that is known: its model_type is \"llama\""));
  CHECK(whole.error().help ==
        "parts are read of llava, llava_next, qwen2_vl, qwen2_5_vl, gemma3, qwen2_audio; a folder of one "
        "model is "
        "named without '#'");
}

TEST_CASE("what prepares a part's pictures may stand in a file of the whole") {
  const Folder folder;
  write_config(folder, "gemma-3-4b-it");
  const std::string place = folder.path.string() + "#vision";
  CHECK(read_preprocessor(place).value() == std::nullopt);
  folder.write(
      "processor_config.json",
      R"({"image_seq_length": 256, "image_processor": {"image_processor_type": "Gemma3ImageProcessorFast"}})");
  CHECK(read_preprocessor(place).value() == "{\n  \"image_processor_type\": \"SiglipImageProcessor\"\n}\n");
  folder.write("preprocessor_config.json", R"({"image_processor_type": "BitImageProcessor"})");
  CHECK(read_preprocessor(place).value() == "{\n  \"image_processor_type\": \"BitImageProcessor\"\n}\n");
}
