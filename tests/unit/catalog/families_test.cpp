#include "cornstarch/catalog/families.h"

#include <algorithm>
#include <cmath>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"

using namespace cornstarch;
using namespace cornstarch::catalog;

namespace {

ModelSpec spec_of(const std::string& family, const std::string& config) {
  SpecResult result = make_spec(family, config);
  INFO(join(result.problems, "\n"));
  REQUIRE(result.spec);
  REQUIRE(result.problems.empty());
  return std::move(*result.spec);
}

std::vector<std::string> problems_of(const std::string& family, const std::string& config) {
  const SpecResult result = make_spec(family, config);
  CHECK(result.spec.has_value() == result.problems.empty());
  return result.problems;
}

std::int64_t total_params(const ModelSpec& spec) {
  std::int64_t total = 0;
  for (const ModuleSpec& module : spec.modules) total += num_params(module);
  return total;
}

std::vector<std::string> module_names(const ModelSpec& spec) {
  std::vector<std::string> names;
  for (const ModuleSpec& module : spec.modules) names.push_back(module.name);
  return names;
}

/// "name [shape] split(dim, unit) init" of every parameter of a module.
std::vector<std::string> described(const ModuleSpec& module) {
  const auto init_of = [](const ParamSpec& p) -> std::string {
    if (p.init == Init::normal) return cat("normal(", p.init_std, ")");
    if (p.init == Init::sinusoid) return "sinusoid";
    const double value = p.init == Init::constant ? p.init_std : 0;
    return value == 0 ? "zeros" : value == 1 ? "ones" : cat("all ", value);
  };
  std::vector<std::string> lines;
  for (const ParamSpec& p : module.params) {
    std::vector<std::string> dims;
    for (const std::int64_t d : p.shape) dims.push_back(std::to_string(d));
    std::string line = cat(p.name, " [", join(dims, ","), "]");
    if (p.split.dim >= 0) line += cat(" split(", p.split.dim, ",", p.split.unit, ")");
    line += " " + init_of(p);
    if (p.fixed) line += " fixed";
    if (!p.tied_to.empty()) line += " tied to " + p.tied_to;
    lines.push_back(line);
  }
  return lines;
}

using Lines = std::vector<std::string>;

const char* const kTinyLlama = R"({"vocab_size": 97, "hidden_size": 64, "intermediate_size": 100,
  "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 24})";

}  // namespace

TEST_CASE("parameter counts are those of the Hugging Face classes") {
  CHECK(total_params(spec_of("clip_vision_model", "{}")) == 87456000);
  CHECK(total_params(spec_of("clip_vision_model", R"({"hidden_size": 1024, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14})")) ==
        303507456);
  CHECK(
      total_params(spec_of("whisper", R"({"d_model": 768, "encoder_layers": 12, "encoder_attention_heads": 12,
    "encoder_ffn_dim": 3072})")) == 88154112);
  CHECK(total_params(
            spec_of("whisper", R"({"d_model": 1280, "encoder_layers": 32, "encoder_attention_heads": 20,
    "encoder_ffn_dim": 5120, "num_mel_bins": 128})")) == 636968960);
  CHECK(total_params(spec_of("llama", "{}")) == 6738415616);
  CHECK(
      total_params(spec_of("llama", R"({"vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192,
    "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
    "tie_word_embeddings": true})")) == 1235814400);
  std::string with_biases = kTinyLlama;
  with_biases.insert(1, R"("attention_bias": true, "mlp_bias": true, )");
  CHECK(total_params(spec_of("llama", with_biases)) == 89040);
}

TEST_CASE("modules are named as a stage list names them, in the order of execution") {
  CHECK(module_names(spec_of("clip_vision_model", R"({"num_hidden_layers": 2})")) ==
        Lines{"vision_model.embeddings", "vision_model.pre_layrnorm", "vision_model.encoder.layers.0",
              "vision_model.encoder.layers.1", "vision_model.post_layernorm"});
  CHECK(module_names(spec_of("whisper", R"({"encoder_layers": 2})")) ==
        Lines{"conv1", "conv2", "embed_positions", "layers.0", "layers.1", "layer_norm"});
  CHECK(module_names(spec_of("llama", R"({"num_hidden_layers": 2})")) ==
        Lines{"model.embed_tokens", "model.layers.0", "model.layers.1", "model.norm", "lm_head"});
}

TEST_CASE("llama's parameters, shapes and splits") {
  const ModelSpec spec = spec_of("llama", kTinyLlama);
  CHECK(described(spec.modules[0]) == Lines{"model.embed_tokens.weight [97,64] split(0,1) normal(0.02)"});
  CHECK(described(spec.modules[1]) ==
        Lines{"model.layers.0.input_layernorm.weight [64] ones",
              "model.layers.0.self_attn.q_proj.weight [96,64] split(0,24) normal(0.02)",
              "model.layers.0.self_attn.k_proj.weight [48,64] split(0,24) normal(0.02)",
              "model.layers.0.self_attn.v_proj.weight [48,64] split(0,24) normal(0.02)",
              "model.layers.0.self_attn.o_proj.weight [64,96] split(1,24) normal(0.02)",
              "model.layers.0.post_attention_layernorm.weight [64] ones",
              "model.layers.0.mlp.gate_proj.weight [100,64] split(0,1) normal(0.02)",
              "model.layers.0.mlp.up_proj.weight [100,64] split(0,1) normal(0.02)",
              "model.layers.0.mlp.down_proj.weight [64,100] split(1,1) normal(0.02)"});
  CHECK(described(spec.modules[3]) == Lines{"model.norm.weight [64] ones"});
  CHECK(described(spec.modules[4]) == Lines{"lm_head.weight [97,64] split(0,1) normal(0.02)"});
  CHECK(spec.kind == ModelKind::llm);
  CHECK(spec.hidden_size == 64);
  CHECK(spec.heads == 4);
  CHECK(spec.kv_heads == 2);
  CHECK(spec.vocab_size == 97);
  CHECK(spec.max_positions == 2048);
  CHECK(flops_of(spec.modules[1]).per_place == 2.0 * (64 * 96 + 2 * 64 * 48 + 96 * 64 + 3 * 64 * 100));
  CHECK(flops_of(spec.modules[1]).per_pair == 4.0 * 4 * 24);
  CHECK(flops_of(spec.modules[4]).per_place == 2.0 * 64 * 97);
}

TEST_CASE("llama's options reach the spec") {
  const ModelSpec spec =
      spec_of("llama", R"({"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 1,
    "intermediate_size": 48, "vocab_size": 10, "attention_bias": true, "mlp_bias": true, "hidden_act": "gelu_new",
    "rms_norm_eps": 1e-3, "tie_word_embeddings": true, "initializer_range": 0.5, "max_position_embeddings": 77,
    "pad_token_id": -1, "num_key_value_heads": null, "head_dim": null})");
  const BlockSpec& block = std::get<BlockSpec>(spec.modules[1].body);
  CHECK(block.attention.kv_heads == 4);
  CHECK(block.attention.head_dim == 8);
  CHECK(block.attention.q.bias);
  CHECK(block.attention.o.bias);
  CHECK(block.feed_forward.gate->bias);
  CHECK(block.feed_forward.down.bias);
  CHECK(block.feed_forward.activation == Activation::gelu_tanh);
  CHECK(block.norm1->eps == 1e-3);
  CHECK(block.attention.causal);
  CHECK(block.attention.rope->theta == 10000.0);
  CHECK(spec.tied_embeddings);
  CHECK(spec.max_positions == 77);
  CHECK(std::get<TokenEmbedding>(spec.modules[0].body).padding_idx == 9);
  CHECK(described(spec.modules[3]) ==
        Lines{"lm_head.weight [10,32] split(0,1) normal(0.5) tied to model.embed_tokens.weight"});
  const Lines lines = described(spec.modules[1]);
  CHECK(std::count(lines.begin(), lines.end(),
                   "model.layers.0.self_attn.q_proj.bias [32] split(0,8) zeros") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "model.layers.0.self_attn.o_proj.bias [32] zeros") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "model.layers.0.mlp.up_proj.bias [48] split(0,1) zeros") == 1);
  CHECK(std::count(lines.begin(), lines.end(), "model.layers.0.mlp.down_proj.bias [32] zeros") == 1);
}

namespace {
RopeSpec rope_of(const std::string& keys) {
  const ModelSpec spec =
      spec_of("llama", R"({"num_hidden_layers": 1)" + (keys.empty() ? "" : ", " + keys) + "}");
  return *std::get<BlockSpec>(spec.modules[1].body).attention.rope;
}
}  // namespace

TEST_CASE("rope is read in the old spelling and in the new one") {
  CHECK(rope_of("").theta == 10000.0);
  CHECK(rope_of("").type == RopeSpec::Type::standard);
  CHECK(rope_of(R"("rope_theta": 500000)").theta == 500000.0);
  CHECK(rope_of(R"("rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"})").theta == 500000.0);
  CHECK(rope_of(R"("rope_theta": 5.0, "rope_scaling": null)").theta == 5.0);
  const std::string scaling = R"("factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0)";
  for (
      const std::string& keys :
      {R"("rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "original_max_position_embeddings": 8192, )" +
           scaling + "}",
       R"("rope_theta": 500000.0, "rope_scaling": {"type": "llama3", "original_max_position_embeddings": 8192, )" +
           scaling + "}",
       R"("rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", "original_max_position_embeddings": 8192, )" +
           scaling + "}",
       R"("original_max_position_embeddings": 8192, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", )" +
           scaling + "}",
       R"("max_position_embeddings": 8192, "rope_parameters": {"rope_theta": 500000.0, "rope_type": "llama3", )" +
           scaling + "}"}) {
    const RopeSpec rope = rope_of(keys);
    CHECK(rope.type == RopeSpec::Type::llama3);
    CHECK(rope.theta == 500000.0);
    CHECK(rope.factor == 32.0);
    CHECK(rope.low_freq_factor == 1.0);
    CHECK(rope.high_freq_factor == 4.0);
    CHECK(rope.original_max_positions == 8192);
  }
}

TEST_CASE("clip's parameters, shapes, splits and initial values") {
  const ModelSpec spec = spec_of("clip_vision_model", R"({"hidden_size": 16, "intermediate_size": 20,
    "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 30, "patch_size": 8, "initializer_factor": 2.0,
    "initializer_range": 0.25})");
  CHECK(described(spec.modules[0]) ==
        Lines{"vision_model.embeddings.class_embedding [16] normal(0.5)",
              "vision_model.embeddings.patch_embedding.weight [16,3,8,8] normal(0.5)",
              "vision_model.embeddings.position_embedding.weight [10,16] normal(0.5)"});
  const std::string l = "vision_model.encoder.layers.0.";
  CHECK(described(spec.modules[2]) ==
        Lines{l + "layer_norm1.weight [16] ones", l + "layer_norm1.bias [16] zeros",
              l + "self_attn.q_proj.weight [16,16] split(0,8) normal(0.25)",
              l + "self_attn.q_proj.bias [16] split(0,8) zeros",
              l + "self_attn.k_proj.weight [16,16] split(0,8) normal(0.25)",
              l + "self_attn.k_proj.bias [16] split(0,8) zeros",
              l + "self_attn.v_proj.weight [16,16] split(0,8) normal(0.25)",
              l + "self_attn.v_proj.bias [16] split(0,8) zeros",
              l + "self_attn.out_proj.weight [16,16] split(1,8) normal(0.5)",
              l + "self_attn.out_proj.bias [16] zeros", l + "layer_norm2.weight [16] ones",
              l + "layer_norm2.bias [16] zeros", l + "mlp.fc1.weight [20,16] split(0,1) normal(0.353553)",
              l + "mlp.fc1.bias [20] split(0,1) zeros", l + "mlp.fc2.weight [16,20] split(1,1) normal(0.25)",
              l + "mlp.fc2.bias [16] zeros"});
  CHECK(spec.kind == ModelKind::vision);
  CHECK(spec.item_shape == Shape{3, 30, 30});
  CHECK(fixed_extents(spec) == Extents{1, 3, 3});
  CHECK(last_places(spec, {1, 3, 3}) == 10);
  CHECK(spec.leading_tokens == 1);
  CHECK(std::get<BlockSpec>(spec.modules[2].body).feed_forward.activation == Activation::quick_gelu);
  CHECK_FALSE(std::get<BlockSpec>(spec.modules[2].body).attention.causal);
  CHECK_FALSE(std::get<Norm>(spec.modules[1].body).pooled_only);
  CHECK(std::get<Norm>(spec.modules[4].body).pooled_only);
  CHECK(flops_of(spec.modules[0]).per_place == 2.0 * 3 * 8 * 8 * 16);
}

TEST_CASE("clip's keys are found in the config of a whole CLIP") {
  const auto layers = [](const std::string& config) {
    return spec_of("clip_vision_model", config).num_layers;
  };
  CHECK(layers(R"({"model_type": "clip", "vision_config": {"num_hidden_layers": 3}})") == 3);
  CHECK(layers(R"({"model_type": "clip", "vision_config": {"num_hidden_layers": 3},
                   "vision_config_dict": {"num_hidden_layers": 5}})") == 5);
  CHECK(layers(R"({"model_type": "clip", "num_hidden_layers": 3})") == 12);
  CHECK(problems_of("clip_vision_model", R"({"vision_config": {"hidden_size": "x"}})") ==
        Lines{R"(vision_config.hidden_size: expected a positive integer, got "x")"});
}

TEST_CASE("whisper's parameters, shapes and splits") {
  const ModelSpec spec =
      spec_of("whisper", R"({"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2,
    "encoder_ffn_dim": 20, "num_mel_bins": 8, "max_source_positions": 50, "init_std": 0.125})");
  CHECK(described(spec.modules[0]) ==
        Lines{"conv1.weight [16,8,3] split(0,1) normal(0.125)", "conv1.bias [16] split(0,1) zeros"});
  CHECK(described(spec.modules[1]) ==
        Lines{"conv2.weight [16,16,3] split(1,1) normal(0.125)", "conv2.bias [16] zeros"});
  CHECK(described(spec.modules[2]) == Lines{"embed_positions.weight [50,16] sinusoid fixed"});
  CHECK(
      described(spec.modules[3]) ==
      Lines{"layers.0.self_attn_layer_norm.weight [16] ones", "layers.0.self_attn_layer_norm.bias [16] zeros",
            "layers.0.self_attn.q_proj.weight [16,16] split(0,8) normal(0.125)",
            "layers.0.self_attn.q_proj.bias [16] split(0,8) zeros",
            "layers.0.self_attn.k_proj.weight [16,16] split(0,8) normal(0.125)",
            "layers.0.self_attn.v_proj.weight [16,16] split(0,8) normal(0.125)",
            "layers.0.self_attn.v_proj.bias [16] split(0,8) zeros",
            "layers.0.self_attn.out_proj.weight [16,16] split(1,8) normal(0.125)",
            "layers.0.self_attn.out_proj.bias [16] zeros", "layers.0.final_layer_norm.weight [16] ones",
            "layers.0.final_layer_norm.bias [16] zeros",
            "layers.0.fc1.weight [20,16] split(0,1) normal(0.125)", "layers.0.fc1.bias [20] split(0,1) zeros",
            "layers.0.fc2.weight [16,20] split(1,1) normal(0.125)", "layers.0.fc2.bias [16] zeros"});
  CHECK(spec.item_shape == Shape{8, 100});
  CHECK(fixed_extents(spec) == Extents{1, 1, 100});
  CHECK(last_places(spec, {1, 1, 100}) == 50);
  CHECK(spec.leading_tokens == 0);
  CHECK(flops_of(spec.modules[0]).per_place == 2.0 * 3 * 8 * 16);  // of each frame: 100 behind it
  CHECK(flops_of(spec.modules[1]).per_place == 2.0 * 3 * 16 * 16);
  CHECK(std::get<Conv1d>(spec.modules[1].body).stride == 2);
}

TEST_CASE("whisper knows the generic names of its sizes") {
  const ModelSpec spec = spec_of("whisper", R"({"hidden_size": 64, "num_hidden_layers": 3,
    "encoder_layers": 3, "num_attention_heads": 4})");
  CHECK(spec.hidden_size == 64);
  CHECK(spec.num_layers == 3);
  CHECK(spec.heads == 4);
  CHECK(problems_of("whisper", R"({"encoder_layers": 2, "num_hidden_layers": 3})") ==
        Lines{"encoder_layers: is 2, but its other name 'num_hidden_layers' says 3"});
}

TEST_CASE("every problem of a config is told, each with its key") {
  CHECK(problems_of("llama", "{") == Lines{"config.json: this is not JSON"});
  CHECK(problems_of("llama", "[]") == Lines{"config.json: expected a JSON object"});
  CHECK(problems_of("llama", R"({"model_type": "mistral", "hidden_size": 0})") ==
        Lines{"model_type: it is of family 'mistral', not 'llama'"});
  CHECK(problems_of("lama", "{}") == Lines{"config.json: unknown family 'lama'"});
  CHECK(problems_of("llama",
                    R"({"hidden_size": 0, "num_hidden_layers": 1e3, "vocab_size": "many", "mlp_bias": 1,
    "rms_norm_eps": -1, "hidden_act": "mish", "pretraining_tp": 2, "attention_dropout": 0.1,
    "max_position_embeddings": 99999999999, "intermediate_size": null, "quantization_config": {}})") ==
        Lines{"quantization_config: quantized weights are not supported",
              R"(vocab_size: expected a positive integer, got "many")",
              "hidden_size: expected a positive integer, got 0",
              "intermediate_size: expected a positive integer, got null",
              "num_hidden_layers: expected a positive integer, got 1000.0",
              "max_position_embeddings: expected at most 2147483647, got 99999999999",
              // One string in two parts. NOLINTNEXTLINE(bugprone-suspicious-missing-comma)
              R"(hidden_act: activation "mish" is not supported; known are gelu, gelu_python, gelu_new, )"
              "gelu_pytorch_tanh, gelu_python_tanh, gelu_fast, gelu_accurate, quick_gelu, silu, swish, relu",
              "rms_norm_eps: expected a positive number, got -1", "mlp_bias: expected true or false, got 1",
              "attention_dropout: dropout is not supported: only 0, got 0.1",
              "pretraining_tp: only 1 is supported, got 2"});
  CHECK(problems_of("llama", R"({"hidden_size": 100, "num_attention_heads": 8, "num_key_value_heads": 3,
    "head_dim": 5, "pad_token_id": 32000})") ==
        Lines{"pad_token_id: is outside of the vocabulary of 32000: 32000",
              "num_attention_heads: does not divide hidden_size: 8 and 100",
              "num_key_value_heads: does not divide num_attention_heads: 3 and 8",
              "head_dim: rotary embedding needs an even head size, got 5"});
  CHECK(problems_of("llama", R"({"num_hidden_layers": 1000000000})") ==
        Lines{"num_hidden_layers: expected at most 10000, got 1000000000"});
  CHECK(
      problems_of("llama", R"({"vocab_size": 2147483647, "hidden_size": 2147483644, "num_attention_heads": 2,
    "num_hidden_layers": 1, "intermediate_size": 2147483647})") ==
      Lines{"config.json: the model is too large to count its parameters, at "
            "model.layers.0.self_attn.k_proj.weight"});
  CHECK(problems_of("clip_vision_model", R"({"hidden_size": 10, "num_attention_heads": 3, "patch_size": 16,
    "image_size": [8, 8], "dropout": 0.1, "hidden_act": 3})") ==
        Lines{"image_size: expected a positive integer, got [8,8]",
              "hidden_act: expected the name of an activation, got 3",
              "num_attention_heads: does not divide hidden_size: 3 and 10",
              "dropout: dropout is not supported: only 0, got 0.1"});
  CHECK(problems_of("clip_vision_model", R"({"patch_size": 16, "image_size": 8})") ==
        Lines{"patch_size: is larger than image_size: 16 and 8"});
  CHECK(problems_of("whisper", R"({"d_model": 15, "encoder_attention_heads": 2, "encoder_layerdrop": 0.5,
    "apply_spec_augment": true, "dropout": 0.5})") ==
        Lines{"dropout: dropout is not supported: only 0, got 0.5",
              "encoder_layerdrop: dropout is not supported: only 0, got 0.5",
              "apply_spec_augment: SpecAugment is not supported: only false",
              "encoder_attention_heads: does not divide d_model: 2 and 15",
              "d_model: sinusoidal positions need an even number of at least 4, got 15"});
}

TEST_CASE("qwen2_audio's encoder is Whisper's with two tokens made one") {
  const ModelSpec spec = spec_of("qwen2_audio_encoder", R"({"d_model": 16, "encoder_layers": 1,
      "encoder_attention_heads": 2, "encoder_ffn_dim": 20, "num_mel_bins": 8, "max_source_positions": 51,
      "initializer_range": 0.125})");
  CHECK(module_names(spec) ==
        Lines{"conv1", "conv2", "embed_positions", "layers.0", "avg_pooler", "layer_norm"});
  CHECK(spec.item_shape == Shape{8, 102});
  CHECK(last_places(spec, *fixed_extents(spec)) == 25);
  const auto& pool = std::get<AvgPool>(spec.modules[4].body);
  CHECK((pool.rows == 1 && pool.columns == 51 && pool.row_stride == 1 && pool.column_stride == 2));
  CHECK(spec.modules[4].params.empty());
  CHECK(described(spec.modules[1]) ==
        Lines{"conv2.weight [16,16,3] split(1,1) normal(0.125)", "conv2.bias [16] zeros"});
  const ModelSpec published = spec_of("qwen2_audio_encoder", "{}");
  CHECK(total_params(published) == 636968960);  // as Whisper's largest
  CHECK(last_places(published, *fixed_extents(published)) == 750);
  CHECK(published.num_layers == 32);
  CHECK(problems_of("qwen2_audio_encoder", R"({"max_source_positions": 1})") ==
        Lines{"max_source_positions: two positions become one token: expected at least 2, got 1"});
  CHECK(weight_names("qwen2_audio_encoder", "conv1.bias") ==
        Lines{"conv1.bias", "audio_tower.conv1.bias", "model.audio_tower.conv1.bias"});
}

TEST_CASE("dinov2 has scales for what layers add; with use_swiglu_ffn two products are one in its files") {
  const auto spec = [](const std::string& more) {
    const SpecResult result =
        make_spec("dinov2", R"({"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 9, "patch_size": 4)" +
                                more + "}");
    INFO(join(result.problems, "\n"));
    CHECK(result.unknown_keys == Lines{});
    return result.spec.value();
  };
  const ModelSpec plain = spec(R"(, "use_mask_token": true)");
  CHECK(module_names(plain) == Lines{"embeddings", "encoder.layer.0", "layernorm"});
  CHECK(last_places(plain, *fixed_extents(plain)) == 5);
  CHECK(plain.leading_tokens == 1);
  CHECK(described(plain.modules[0]) ==
        Lines{"embeddings.cls_token [1,1,16] normal(0.02)",
              "embeddings.patch_embeddings.projection.weight [16,3,4,4] normal(0.02)",
              "embeddings.patch_embeddings.projection.bias [16] zeros",
              "embeddings.position_embeddings [1,5,16] normal(0.02)"});
  const Lines layer = described(plain.modules[1]);
  CHECK(layer.size() == 18);
  CHECK(std::count(layer.begin(), layer.end(), "encoder.layer.0.layer_scale1.lambda1 [16] ones") == 1);
  CHECK(std::count(layer.begin(), layer.end(),
                   "encoder.layer.0.mlp.fc1.weight [64,16] split(0,1) normal(0.02)") == 1);

  const ModuleSpec gated =
      spec(R"(, "use_swiglu_ffn": true, "layerscale_value": 0.5, "qkv_bias": false)").modules[1];
  Lines stored;
  for (const ParamSpec& p : gated.params) {
    if (!p.stacked) continue;
    CHECK(stored_shape(p)[0] == 96);
    stored.push_back(cat(p.name, " in ", stored_name(p), " from ", p.stacked->first));
  }
  CHECK(stored ==
        Lines{"encoder.layer.0.mlp.weights_in.gate.weight in encoder.layer.0.mlp.weights_in.weight from 0",
              "encoder.layer.0.mlp.weights_in.gate.bias in encoder.layer.0.mlp.weights_in.bias from 0",
              "encoder.layer.0.mlp.weights_in.up.weight in encoder.layer.0.mlp.weights_in.weight from 48",
              "encoder.layer.0.mlp.weights_in.up.bias in encoder.layer.0.mlp.weights_in.bias from 48"});
  CHECK(described(gated).back() == "encoder.layer.0.layer_scale2.lambda1 [16] all 0.5");
  CHECK(std::get<BlockSpec>(gated.body).feed_forward.activation == Activation::silu);
  CHECK_FALSE(std::get<BlockSpec>(gated.body).attention.q.bias);
  CHECK(problems_of("dinov2", R"({"drop_path_rate": 0.1, "hidden_dropout_prob": 0.2, "mlp_ratio": 0})") ==
        Lines{"hidden_dropout_prob: dropout is not supported: only 0, got 0.2",
              "drop_path_rate: dropout is not supported: only 0, got 0.1",
              "mlp_ratio: expected a positive integer, got 0"});
}

TEST_CASE("rope is scaled as the config says") {
  const auto rope = [](const std::string& scaling) {
    const SpecResult result =
        make_spec("llama", R"({"num_hidden_layers": 1, "max_position_embeddings": 64, "rope_scaling": )" +
                               scaling + "}");
    return *std::get<BlockSpec>(result.spec.value().modules[1].body).attention.rope;
  };
  CHECK(rope(R"({"type": "linear", "factor": 4})") == RopeSpec{.type = RopeSpec::Type::linear, .factor = 4});
  CHECK(rope(R"({"type": "dynamic", "factor": 4})") ==
        RopeSpec{.type = RopeSpec::Type::dynamic, .factor = 4, .original_max_positions = 64});
  const RopeSpec yarn = rope(R"({"type": "yarn", "factor": 4, "original_max_position_embeddings": 16})");
  CHECK(yarn.type == RopeSpec::Type::yarn);
  CHECK(yarn.original_max_positions == 16);
  CHECK(yarn.attention_factor == 0.1 * std::log(4.0) + 1);
  // Without a factor, that of the lengths; without a length, that of the model.
  CHECK(rope(R"({"type": "yarn", "factor": null, "original_max_position_embeddings": 16})").factor == 4);
  CHECK(rope(R"({"type": "yarn", "factor": 2})").original_max_positions == 64);
  CHECK(rope(R"({"type": "yarn", "factor": 4, "attention_factor": 0.5})").attention_factor == 0.5);
  CHECK(rope(R"({"type": "yarn", "factor": 4, "mscale": 1, "mscale_all_dim": 1})").attention_factor == 1);
}

TEST_CASE("rope by the length of a sample") {
  const auto spec = [](const std::string& scaling) {
    const SpecResult result =
        make_spec("llama", R"({"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
        "max_position_embeddings": 64, "rope_scaling": )" +
                               scaling + "}");
    INFO(join(result.problems, "\n"));
    return result.spec.value();
  };
  const std::string factors = R"("rope_type": "longrope", "short_factor": [1, 2], "long_factor": [3, 4.5])";
  const auto rope = [&](const std::string& more) {
    return *std::get<BlockSpec>(spec("{" + factors + more + "}").modules[1].body).attention.rope;
  };
  const RopeSpec plain = rope("");
  CHECK(plain.type == RopeSpec::Type::longrope);
  CHECK(plain.short_factors == std::vector<double>{1, 2});
  CHECK(plain.long_factors == std::vector<double>{3, 4.5});
  CHECK((plain.original_max_positions == 64 && plain.attention_factor == 1));
  const std::string original = R"(, "original_max_position_embeddings": 16)";
  CHECK(rope(original).attention_factor == std::sqrt(1 + std::log(4.0) / std::log(16.0)));
  CHECK(rope(original + R"(, "factor": 2)").attention_factor ==
        std::sqrt(1 + std::log(2.0) / std::log(16.0)));
  CHECK(rope(original + R"(, "attention_factor": 1.5)").attention_factor == 1.5);
  const ModelSpec longrope = spec("{" + factors + original + "}");
  CHECK((longrope.max_positions == 64 && !notices_length(longrope, 16) && notices_length(longrope, 17)));
  const ModelSpec dynamic = spec(R"({"type": "dynamic", "factor": 2.5})");
  CHECK((dynamic.max_positions == 160 && !notices_length(dynamic, 64) && notices_length(dynamic, 65)));
  CHECK(!notices_length(spec(R"({"type": "linear", "factor": 4})"), 1000));
}

TEST_CASE("rope by the parts of a position") {
  const auto read = [](const std::string& more) {
    return make_spec("qwen2_vl_text", R"({"model_type": "qwen2_vl_text", "hidden_size": 16,
        "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1)" +
                                          more + "}");
  };
  const auto rope = [&](const std::string& more) {
    return *std::get<BlockSpec>(read(more).spec.value().modules[1].body).attention.rope;
  };
  const RopeSpec wanted{.theta = 1e6, .sections = {1, 2, 1}};
  CHECK(rope(R"(, "rope_scaling": {"type": "mrope", "mrope_section": [1, 2, 1]})") == wanted);
  CHECK(rope(R"(, "rope_parameters": {"rope_type": "default", "type": "mrope", "rope_theta": 1000000.0,
                                      "mrope_section": [1, 2, 1]})") == wanted);
  CHECK(rope(R"(, "rope_scaling": {"type": "yarn", "factor": 2, "mrope_section": [2, 2]})").type ==
        RopeSpec::Type::yarn);
  CHECK(make_spec("qwen2_5_vl_text", R"({"hidden_size": 128, "num_attention_heads": 1, "num_hidden_layers": 1,
                                         "num_key_value_heads": 1})")
            .spec.value()
            .modules.size() == 4);  // three sections by default, which make a head of 128
  CHECK(notices_grids(read(R"(, "rope_scaling": {"mrope_section": [4]})").spec.value()));
  CHECK_FALSE(notices_grids(make_spec("qwen2", R"({"num_hidden_layers": 1})").spec.value()));

  const std::string must = "expected whole numbers whose sum is 4, half of a head's size, got ";
  CHECK(read("").problems == Lines{"rope_parameters.mrope_section: " + must + "[16,24,24]"});
  CHECK(read(R"(, "rope_scaling": {"type": "mrope", "mrope_section": [1, 4, -1]})").problems ==
        Lines{"rope_scaling.mrope_section: " + must + "[1,4,-1]"});
  CHECK(read(R"(, "rope_scaling": {"mrope_section": 4})").problems ==
        Lines{"rope_scaling.mrope_section: " + must + "4"});
  CHECK(read(R"(, "rope_scaling": {"type": "dynamic", "factor": 2, "mrope_section": [4]})").problems ==
        Lines{"rope_scaling: mrope_section with frequencies that depend on the length (dynamic, longrope) is "
              "not supported"});
  // What is written is read again, here and by transformers.
  for (const std::string config : {R"(, "rope_scaling": {"type": "mrope", "mrope_section": [1, 2, 1]})",
                                   R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0,
                                                            "mrope_section": [1, 2, 1]})"}) {
    const SpecResult again = make_spec("qwen2_vl_text", config_json(read(config).spec.value(), "float32"));
    REQUIRE(again.spec);
    CHECK(std::get<BlockSpec>(again.spec->modules[1].body).attention.rope == wanted);
  }
}

TEST_CASE("problems of rope") {
  const auto rope = [](const std::string& value) {
    return problems_of("llama", R"({"rope_scaling": )" + value + "}");
  };
  CHECK(
      rope(R"({"rope_type": "xpos", "factor": 2.0})") ==
      Lines{
          R"(rope_scaling.rope_type: rope of type "xpos" is not supported; known are default, dynamic, linear, )"
          "llama3, longrope, yarn"});
  CHECK(rope(R"({"rope_type": "longrope", "long_factor": [1, -1, 2]})") ==
        Lines{"rope_scaling.short_factor: expected 64 positive numbers, half of a head's size, got none",
              "rope_scaling.long_factor: expected 64 positive numbers, half of a head's size, got [1,-1,2]"});
  CHECK(rope(R"({"type": "linear"})") == Lines{"rope_scaling.factor: is missing"});
  CHECK(rope(R"({"type": "dynamic", "factor": -1})") ==
        Lines{"rope_scaling.factor: expected a positive number, got -1"});
  CHECK(rope(R"({"rope_type": "yarn", "beta_fast": 0, "truncate": 1})") ==
        Lines{"rope_scaling.factor: is missing", "rope_scaling.beta_fast: expected a positive number, got 0",
              "rope_scaling.truncate: expected true or false, got 1"});
  CHECK(rope(R"({"rope_type": "llama3", "factor": 0, "low_freq_factor": 4.0, "high_freq_factor": 4.0})") ==
        Lines{"rope_scaling.factor: expected a positive number, got 0",
              "rope_scaling.high_freq_factor: must be greater than low_freq_factor (4), got 4"});
  CHECK(rope(R"({"rope_type": "llama3", "factor": 8})") ==
        Lines{"rope_scaling.low_freq_factor: is missing", "rope_scaling.high_freq_factor: is missing"});
  CHECK(rope("7") == Lines{"rope_scaling: expected a map, got 7"});
  CHECK(problems_of("llama",
                    R"({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}})") ==
        Lines{"rope_parameters.partial_rotary_factor: only 1 is supported"});
}

TEST_CASE("keys that no class has are told apart from those without effect") {
  const SpecResult result =
      make_spec("llama", R"({"hiden_size": 5, "use_cache": false, "id2label": {}, "num_hidden_layers": 1,
    "transformers.js_config": {"dtype": "q4"}, "_name_or_path": "x", "rope_interleaved": false})");
  CHECK(result.spec.has_value());
  CHECK(result.unknown_keys == Lines{"hiden_size"});
  CHECK(std::count(result.known_keys.begin(), result.known_keys.end(), "hidden_size") == 1);
}

TEST_CASE("weights are looked for under the names of old and new files") {
  CHECK(weight_names("clip_vision_model", "vision_model.embeddings.class_embedding") ==
        Lines{"vision_model.embeddings.class_embedding", "embeddings.class_embedding"});
  CHECK(weight_names("whisper", "conv1.weight") ==
        Lines{"model.encoder.conv1.weight", "encoder.conv1.weight", "conv1.weight"});
  CHECK(weight_names("llama", "model.norm.weight") == Lines{"model.norm.weight", "norm.weight"});
  CHECK(weight_names("llama", "lm_head.weight") == Lines{"lm_head.weight"});
  CHECK(weight_names("whisper", "projector.projection.weight") == Lines{"projector.projection.weight"});
}

TEST_CASE("adapters are written as PEFT names them today, and read from older files, too") {
  const auto names = [](const std::string& family, const std::string& layer) {
    ParamSpec param;
    param.name = layer + ".lora_A.weight";
    param.of_adapter = true;
    return weight_names(family, param);
  };
  const std::string base = "base_model.model.", end = ".lora_A.weight";
  for (const std::string family : {"clip_vision_model", "siglip_vision_model"})
    CHECK(names(family, "vision_model.encoder.layers.0.mlp.fc1") ==
          Lines{cat(base, "encoder.layers.0.mlp.fc1", end),
                cat(base, "vision_model.encoder.layers.0.mlp.fc1", end)});
  CHECK(names("llama", "model.layers.0.mlp.up_proj").front() == base + "model.layers.0.mlp.up_proj" + end);
  CHECK(names("whisper", "layers.0.fc1").front() == base + "model.encoder.layers.0.fc1" + end);
}

TEST_CASE("an exported Whisper's decoder, which nobody uses, can be built beside the encoder") {
  const auto says = [](const std::string& decoder, const std::string& line) {
    const std::string given = R"({"d_model": 16, "encoder_attention_heads": 4)" + decoder + "}";
    return spec_of("whisper", given).hf_config.find(line) != std::string::npos;
  };
  CHECK(says("", R"("decoder_attention_heads": 4)"));  // by default there are 6
  CHECK(says(R"(, "decoder_attention_heads": 3)", R"("decoder_attention_heads": 4)"));
  CHECK(says(R"(, "decoder_attention_heads": 8)", R"("decoder_attention_heads": 8)"));
  CHECK(says(R"(, "vocab_size": 100)", R"("pad_token_id": null)"));
  CHECK_FALSE(says("", "pad_token_id"));
}

TEST_CASE("the exported config is what every version of transformers reads") {
  const ModelSpec spec = spec_of("llama", R"({"num_hidden_layers": 1, "dtype": "bfloat16", "rope_parameters":
    {"rope_theta": 7.0, "rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}})");
  CHECK(spec.hf_config == R"({
  "num_hidden_layers": 1,
  "rope_theta": 7.0,
  "rope_scaling": {
    "rope_type": "llama3",
    "factor": 2.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0
  },
  "model_type": "llama",
  "architectures": [
    "LlamaForCausalLM"
  ]
}
)");
  CHECK(config_json(spec, "bfloat16").ends_with(R"(
    "LlamaForCausalLM"
  ],
  "torch_dtype": "bfloat16"
}
)"));
  const ModelSpec again = spec_of("llama", spec.hf_config);
  CHECK(again.hf_config == spec.hf_config);
  CHECK(std::get<BlockSpec>(again.modules[1].body).attention.rope->theta == 7.0);
}

TEST_CASE("what a config.json of Qwen2-VL's vision encoders may not say") {
  const auto problems = [](const std::string& family, const std::string& config) {
    return make_spec(family, config).problems;
  };
  CHECK(
      problems("qwen2_vl_vision", R"({"embed_dim": 40, "num_heads": 4, "rope_parameters": 3,
                                        "rope_scaling": {"rope_type": "yarn"}})") ==
      Lines{
          "num_heads: heads must be multiples of 4 wide, of rows and columns a half each: 40 wide are all 4 "
          "together",
          "rope_parameters: expected a map, got 3",
          "rope_scaling.rope_type: only axial is supported, got \"yarn\""});
  CHECK(problems("qwen2_5_vl_vision", R"({"window_size": 27, "fullatt_block_indexes": [1, "x"]})") ==
        Lines{"window_size: is less than a feature's 28 pixels: 27",
              "fullatt_block_indexes: expected a list of whole numbers, got [1,\"x\"]"});
  CHECK(weight_names("qwen2_vl_vision", "blocks.0.norm1.weight") ==
        Lines{"blocks.0.norm1.weight", "visual.blocks.0.norm1.weight", "model.visual.blocks.0.norm1.weight"});
}
