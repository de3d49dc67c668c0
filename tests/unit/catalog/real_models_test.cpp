// What is said of models that people have, by their config.json as the hub has it (tests/golden/hf_configs).
#include <filesystem>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"

using namespace cornstarch;
using namespace cornstarch::catalog;

namespace {

using Lines = std::vector<std::string>;

SpecResult read(const std::string& family, const std::string& model) {
  const auto folder = std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden/hf_configs";
  return make_spec(family, read_file(folder / (model + ".json")).value());
}

std::int64_t params(const std::string& family, const std::string& model) {
  const SpecResult result = read(family, model);
  INFO(join(result.problems, "\n"));
  REQUIRE(result.spec);
  CHECK(result.unknown_keys == Lines{});  // also where it stands under `config:`
  std::int64_t total = 0;
  for (const ModuleSpec& module : result.spec->modules) total += num_params(module);
  return total;
}

/// The problem and the help, for one family as for the other: before any other key is read.
Lines refused(const std::string& model, const Lines& families) {
  Lines said;
  for (const std::string& family : families) {
    const SpecResult result = read(family, model);
    CHECK_FALSE(result.spec);
    REQUIRE(result.problems.size() == 1);
    said = {result.problems[0], result.help};
  }
  return said;
}

const std::string kEncoders =
    "known encoders: clip_vision_model, siglip_vision_model, dinov2, whisper, qwen2_audio_encoder, "
    "qwen2_vl_vision, qwen2_5_vl_vision";
const std::string kBoth = kEncoders +
                          "; known language models: llama, mistral, qwen2, qwen2_vl_text, qwen2_5_vl_text, "
                          "qwen3, gemma2, gemma3_text, olmo2";
const Lines kAny = {"whisper", "llama", "mistral", "clip_vision_model"};

std::string whole(const std::string& type) {
  return cat("model_type: '", type, "' is a whole checkpoint: encoder and language model in one");
}

}  // namespace

TEST_CASE("models that are known") {
  CHECK(params("clip_vision_model", "clip-vit-large-patch14-336") == 303507456);
  CHECK(params("whisper", "whisper-large-v3") == 636968960);
  CHECK(params("llama", "Llama-3.1-8B") == 8030261248);
  CHECK(params("llama", "Llama-3.2-1B") == 1235814400);
  CHECK(params("llama", "SmolLM2-360M-Instruct") == 361821120);
  CHECK(params("llama", "DeepSeek-R1-Distill-Llama-8B") == 8030261248);
  CHECK(params("llama", "vicuna-7b-v1.5") == 6738415616);
  CHECK(params("qwen2", "Qwen2.5-7B") == 7615616512);
  CHECK(params("siglip_vision_model", "siglip-so400m-patch14-384") == 412987248);  // without its head
  CHECK(params("dinov2", "dinov2-base") == 86579712);                              // without its mask token
  CHECK(params("llama", "TinyLlama-1.1B-Chat-v1.0") == 1100048384);
  CHECK(params("mistral", "Mistral-7B-v0.3") == 7248023552);
}

TEST_CASE("whole checkpoints whose parts are known") {
  const auto read_in_parts = [](const std::string& encoder, const std::string& llm,
                                const std::string& part = "vision") {
    return cat("declare its parts separately, each read from the whole by its name (pretrained: FOLDER#",
               part, ", FOLDER#llm): its encoder under model.encoders (family: ", encoder,
               "), its language model under model.llm (family: ", llm,
               "); 'cornstarch-train import' writes such a config");
  };
  CHECK(refused("llava-1.5-7b-hf", kAny) ==
        Lines{whole("llava"), read_in_parts("clip_vision_model", "llama")});
  CHECK(refused("gemma-3-4b-it", kAny) ==
        Lines{whole("gemma3"), read_in_parts("siglip_vision_model", "gemma3_text")});
  CHECK(refused("Qwen2-Audio-7B-Instruct", kAny) ==
        Lines{whole("qwen2_audio"), read_in_parts("qwen2_audio_encoder", "qwen2", "audio")});
  for (const std::string family : {"qwen2_vl", "qwen2_5_vl"})
    CHECK(refused(family == "qwen2_vl" ? "Qwen2-VL-7B-Instruct" : "Qwen2.5-VL-7B-Instruct", kAny) ==
          Lines{whole(family), read_in_parts(family + "_vision", family + "_text")});
}

TEST_CASE("the vision halves of Qwen2-VL and Qwen2.5-VL, by what the config of the whole says of them") {
  const auto half = [](const std::string& family, const std::string& model) {
    const auto folder = std::filesystem::path(CORNSTARCH_TEST_DIR) / "golden/hf_configs";
    const std::string whole = read_file(folder / (model + ".json")).value();
    const std::size_t begin = whole.find('{', whole.find("\"vision_config\""));
    const SpecResult result = make_spec(family, whole.substr(begin, whole.rfind('}') - begin));
    INFO(join(result.problems, "\n"));
    REQUIRE(result.spec);
    CHECK(result.unknown_keys == Lines{});
    std::int64_t total = 0;
    for (const ModuleSpec& module : result.spec->modules) total += num_params(module);
    return std::pair(*result.spec, total);
  };
  const auto [qwen2, params2] = half("qwen2_vl_vision", "Qwen2-VL-7B-Instruct");
  CHECK(params2 == 675759104);
  CHECK(window_shares(qwen2) == std::map<std::int64_t, double>{{0, 1}});
  const auto [qwen25, params25] = half("qwen2_5_vl_vision", "Qwen2.5-VL-7B-Instruct");
  CHECK(params25 == 676550144);
  CHECK(window_shares(qwen25) == std::map<std::int64_t, double>{{0, 0.125}, {8, 0.875}});
  CHECK(qwen25.hidden_size == 3584);
  CHECK(qwen25.item_shape == Shape{3, 2, 14, 14});
}

TEST_CASE("whole checkpoints whose parts are not known") {
  const auto made_of = [](const std::string& parts, const std::string& unknown) {
    return cat("it is made of ", parts, ", and ", unknown, " not known here; ", kBoth);
  };
  CHECK(refused("Qwen3-VL-8B-Instruct", kAny) ==
        Lines{whole("qwen3_vl"),
              made_of("qwen3_vl_vision and qwen3_vl_text", "qwen3_vl_vision and qwen3_vl_text are")});
  CHECK(refused("InternVL3-8B", kAny) ==
        Lines{whole("internvl_chat"), made_of("intern_vit_6b and qwen2", "intern_vit_6b is")});
  CHECK(refused("Phi-4-multimodal-instruct", kAny) ==
        Lines{whole("phi4mm"), made_of("phi4_multimodal_vision and phi4_multimodal_audio and phi3",
                                       "phi4_multimodal_vision and phi4_multimodal_audio and phi3 are")});
  CHECK(refused("SmolVLM-Instruct", kAny) ==
        Lines{whole("idefics3"), made_of("idefics3_vision and llama", "idefics3_vision is")});
  CHECK(make_spec("llama", R"({"model_type": "newvl", "vision_config": {"model_type": "newvit"},
                               "text_config": {"model_type": "llama"}})")
            .problems == Lines{whole("newvl")});
}

TEST_CASE("models of families that are not known") {
  const auto said = [](const std::string& family, const std::string& config) {
    const SpecResult result = make_spec(family, config);
    return Lines{join(result.problems, "\n"), result.help};
  };
  CHECK(said("clip_vision_model", R"({"model_type": "siglip2_vision_model", "hidden_size": "x"})") ==
        Lines{"model_type: family 'siglip2_vision_model' is not known", kEncoders});
  CHECK(said("llama", R"({"model_type": "phi3"})") ==
        Lines{"model_type: family 'phi3' is not known",
              "known language models: llama, mistral, qwen2, qwen2_vl_text, qwen2_5_vl_text, qwen3, gemma2, "
              "gemma3_text, olmo2"});
}

TEST_CASE("models of another family than the config says") {
  CHECK(refused("Mistral-7B-v0.3", {"llama"}) ==
        Lines{"model_type: it is of family 'mistral', not 'llama'", "set family: mistral"});
  CHECK(refused("Llama-3.2-1B", {"mistral"}) ==
        Lines{"model_type: it is of family 'llama', not 'mistral'", "set family: llama"});
  CHECK(refused("siglip-so400m-patch14-384", {"clip_vision_model"}) ==
        Lines{"model_type: it is of family 'siglip_vision_model', not 'clip_vision_model'",
              "set family: siglip_vision_model"});
  CHECK(refused("Qwen2.5-7B", {"llama"}) ==
        Lines{"model_type: it is of family 'qwen2', not 'llama'", "set family: qwen2"});
  CHECK(refused("whisper-large-v3", {"llama"}) ==
        Lines{"model_type: it is of family 'whisper', not 'llama'", ""});
}

TEST_CASE("a model that was given another one's type is still known by its class") {
  const SpecResult result = make_spec(
      "llama", R"({"model_type": "llama", "architectures": ["GraniteForCausalLM"], "hidden_size": "x"})");
  CHECK(result.problems ==
        Lines{"architectures: GraniteForCausalLM is not of family 'llama', which has LlamaForCausalLM, "
              "LLaMAForCausalLM"});
  CHECK(make_spec("llama", R"({"model_type": 3})").problems == Lines{"model_type: expected a text, got 3"});
  CHECK(make_spec("clip_vision_model", R"({"vision_config": {"model_type": "siglip2_vision_model"}})")
            .problems == Lines{"vision_config.model_type: family 'siglip2_vision_model' is not known"});
}

TEST_CASE("layers have windows as Mistral's and Qwen's configs say") {
  using Windows = std::vector<std::int64_t>;
  const auto windows = [](const std::string& family, const std::string& more) {
    const SpecResult result = make_spec(family, R"({"num_hidden_layers": 3)" + more + "}");
    INFO(join(result.problems, "\n"));
    Windows out;
    for (int layer = 1; layer <= 3; ++layer)
      out.push_back(std::get<BlockSpec>(result.spec.value().modules[static_cast<std::size_t>(layer)].body)
                        .attention.window);
    return out;
  };
  CHECK(windows("mistral", "") == Windows{4096, 4096, 4096});
  CHECK(windows("mistral", R"(, "sliding_window": null)") == Windows{0, 0, 0});
  CHECK(windows("mistral", R"(, "sliding_window": 100)") == Windows{100, 100, 100});
  CHECK(windows("qwen2", R"(, "sliding_window": 100)") == Windows{0, 0, 0});
  const std::string slides = R"(, "use_sliding_window": true)";
  CHECK(windows("qwen2", slides) == Windows{0, 0, 0});  // of layers from 28 on
  CHECK(windows("qwen2", slides + R"(, "max_window_layers": 2)") == Windows{0, 0, 4096});
  CHECK(windows("qwen3", slides + R"(, "max_window_layers": 0, "sliding_window": 9)") == Windows{9, 9, 9});
  CHECK(windows("qwen2",
                slides + R"(, "layer_types": ["sliding_attention", "full_attention", "full_attention"])") ==
        Windows{4096, 0, 0});
  CHECK(make_spec("qwen2", R"({"num_hidden_layers": 3, "use_sliding_window": true, "layer_types": []})")
            .problems ==
        Lines{"layer_types: expected full_attention or sliding_attention for each of 3 layers, got []"});
  const ModelSpec spec = *make_spec("mistral", R"({"sliding_window": 100})").spec;
  CHECK(windows_of(spec, 100).empty());
  CHECK(windows_of(spec, 101) == std::set<std::int64_t>{100});
}

TEST_CASE("qwen has biases or norms of queries and keys") {
  const auto block = [](const std::string& family, const std::string& config) {
    return std::get<BlockSpec>(make_spec(family, config).spec->modules[1].body).attention;
  };
  const AttentionSpec two = block("qwen2", "{}"), three = block("qwen3", "{}");
  CHECK((two.q.bias && two.k.bias && two.v.bias && !two.o.bias && !two.q_norm));
  CHECK((!three.q.bias && !three.o.bias && three.head_dim == 128 && three.q_norm->size == 128));
  CHECK(block("qwen3", R"({"attention_bias": true})").o.bias);
}

TEST_CASE("gemma 3 has windows, two rotary embeddings and norms around both halves") {
  const auto blocks = [](const std::string& config) {
    const SpecResult result = make_spec("gemma3_text", config);
    INFO(join(result.problems, "\n"));
    REQUIRE(result.spec);
    CHECK(result.unknown_keys == Lines{});
    std::vector<BlockSpec> out;
    for (const ModuleSpec& module : result.spec->modules)
      if (const auto* block = std::get_if<BlockSpec>(&module.body)) out.push_back(*block);
    return out;
  };
  const auto plain = blocks("{}");
  REQUIRE(plain.size() == 26);
  CHECK((plain[4].attention.window == 4096 && plain[5].attention.window == 0));
  CHECK((plain[4].attention.rope->theta == 1e4 && plain[5].attention.rope->theta == 1e6));
  CHECK((plain[0].attention_norm && plain[0].feed_forward_norm && plain[0].attention.q_norm));
  CHECK(plain[0].norm1->offset == 1);
  CHECK(plain[0].attention.q_scale == 1);
  // The 27B's file of old, and the same in the new spelling.
  const std::string sizes = R"({"num_hidden_layers": 2, "sliding_window_pattern": 2, "head_dim": 128,
      "query_pre_attn_scalar": 168, "cache_implementation": "hybrid", )";
  const auto old = blocks(sizes + R"("rope_theta": 5e5, "rope_local_base_freq": 2e4,
      "rope_scaling": {"rope_type": "linear", "factor": 8}})");
  const auto now = blocks(sizes + R"("rope_parameters": {
      "full_attention": {"rope_type": "linear", "factor": 8, "rope_theta": 5e5},
      "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}})");
  for (const auto& both : {old, now}) {
    CHECK(*both[0].attention.rope == RopeSpec{.theta = 2e4});
    CHECK(*both[1].attention.rope == RopeSpec{.type = RopeSpec::Type::linear, .theta = 5e5, .factor = 8});
    CHECK(both[0].attention.q_scale == std::sqrt(128.0 / 168));
  }
  CHECK(make_spec("gemma3_text", R"({"attn_logit_softcapping": 30.0, "use_bidirectional_attention": true})")
            .problems ==
        Lines{"use_bidirectional_attention: only false is supported",
              "attn_logit_softcapping: Gemma 3's class in transformers does not apply it: only null"});
  const auto softcap = [](const std::string& config) {
    return std::get<LmHead>(make_spec("gemma3_text", config).spec->modules.back().body).softcap;
  };
  CHECK(softcap("{}") == 0);
  CHECK(softcap(R"({"final_logit_softcapping": 30.0, "attn_logit_softcapping": null})") == 30);
}

TEST_CASE("gemma 2 has soft-caps, and windows in every second layer") {
  const SpecResult result = make_spec("gemma2", R"({"hidden_act": "gelu", "sliding_window_size": 4096})");
  INFO(join(result.problems, "\n"));
  REQUIRE(result.spec);
  CHECK(result.unknown_keys == Lines{});
  const auto block = [&](std::size_t layer) {
    return std::get<BlockSpec>(result.spec->modules[1 + layer].body);
  };
  CHECK((block(0).attention.window == 4096 && block(1).attention.window == 0));
  CHECK((block(0).norm1 && block(0).attention_norm && block(0).norm2 && block(0).feed_forward_norm));
  CHECK((!block(0).attention.q_norm && block(0).attention.softcap == 50 && block(1).attention.softcap == 50));
  CHECK(block(0).feed_forward.activation == Activation::gelu_tanh);
  CHECK(std::get<LmHead>(result.spec->modules.back().body).softcap == 30);
  CHECK((result.spec->max_positions == 8192 && result.spec->tied_embeddings));
  const ModelSpec plain =
      *make_spec("gemma2", R"({"attn_logit_softcapping": null, "final_logit_softcapping": null})").spec;
  CHECK(std::get<BlockSpec>(plain.modules[1].body).attention.softcap == 0);
  CHECK(std::get<LmHead>(plain.modules.back().body).softcap == 0);
  CHECK(make_spec("gemma2", R"({"attn_logit_softcapping": 0, "final_logit_softcapping": "x"})").problems ==
        Lines{"attn_logit_softcapping: expected a positive number, got 0",
              "final_logit_softcapping: expected a positive number, got \"x\""});
}

TEST_CASE("olmo 2 has norms behind both halves, and of all queries and keys") {
  const ModelSpec spec =
      *make_spec("olmo2", R"({"hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 2,
      "num_hidden_layers": 1})")
           .spec;
  const BlockSpec& block = std::get<BlockSpec>(spec.modules[1].body);
  CHECK((!block.norm1 && !block.norm2 && block.attention_norm && block.feed_forward_norm));
  CHECK(block.attention_norm->prefix == "model.layers.0.post_attention_layernorm");
  CHECK(block.feed_forward_norm->prefix == "model.layers.0.post_feedforward_layernorm");
  CHECK(block.attention_norm->eps == 1e-5);
  CHECK((block.attention.q_norm->size == 64 && block.attention.k_norm->size == 16));
  for (const ParamSpec& param : spec.modules[1].params) {
    if (param.name.find("self_attn.k_norm") == std::string::npos) continue;
    CHECK((param.shape == Shape{16} && param.split == TpSplit{0, 8} && !param.sums_over_tp));
  }
  const auto& embedding = std::get<TokenEmbedding>(spec.modules[0].body);
  CHECK((embedding.vocab == 50304 && embedding.padding_idx == 1));
}

TEST_CASE("mistral has its own defaults") {
  CHECK(make_spec("mistral", "{}").spec->max_positions == 131072);
  const ModelSpec spec = *make_spec("mistral", R"({"attention_bias": true})").spec;
  CHECK(spec.kv_heads == 8);
  const BlockSpec& block = std::get<BlockSpec>(spec.modules[1].body);
  CHECK(block.feed_forward.up.out == 14336);
  CHECK_FALSE(block.attention.q.bias);
  CHECK(make_spec("mistral", R"({"num_key_value_heads": null})").spec->kv_heads == 32);
  CHECK(spec.hf_config.find("\"MistralForCausalLM\"") != std::string::npos);
}
