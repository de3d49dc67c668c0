#include <algorithm>

#include "build.h"
#include "cornstarch/base/text.h"
#include "family.h"

/// The vision encoders of Qwen2-VL and Qwen2.5-VL: pictures of any size, whose rows and columns turn queries
/// and keys, and a merger that makes a square of patches one feature.
namespace cornstarch::catalog {
namespace {

struct Vision {
  std::int64_t hidden, mlp, layers, heads, out, channels, times, patch, merge;
  Activation activation;
  RopeSpec rope = {};
  double std = 0;
  bool newer = false;                      ///< Qwen2.5-VL's norms and feed-forward
  std::vector<std::int64_t> windows = {};  ///< of each layer; none: all of a picture

  std::int64_t head_dim() const { return hidden / heads; }
  NormSpec norm(const std::string& prefix) const {
    return {newer ? NormKind::rms_norm : NormKind::layer_norm, 1e-6, hidden, prefix};
  }
};

/// Queries, keys and values, which files stack.
LinearSpec part_of_qkv(const Vision& vision, const std::string& layer, const char* name, std::int64_t index) {
  const std::string whole = layer + ".attn.qkv";
  return {.prefix = cat(whole, ".", name),
          .in = vision.hidden,
          .out = vision.hidden,
          .bias = true,
          .stacked = Stacked{whole, 3 * vision.hidden, index * vision.hidden}};
}

ModuleSpec layer(const Vision& vision, std::int64_t index) {
  const std::string name = cat("blocks.", index);
  BlockSpec block;
  block.norm1 = vision.norm(name + ".norm1");
  block.norm2 = vision.norm(name + ".norm2");
  block.attention.heads = block.attention.kv_heads = vision.heads;
  block.attention.head_dim = vision.head_dim();
  block.attention.q = part_of_qkv(vision, name, "q", 0);
  block.attention.k = part_of_qkv(vision, name, "k", 1);
  block.attention.v = part_of_qkv(vision, name, "v", 2);
  block.attention.o = {name + ".attn.proj", vision.hidden, vision.hidden, true};
  block.attention.rope = vision.rope;
  block.feed_forward.activation = vision.activation;
  if (!vision.windows.empty()) block.attention.window = vision.windows[static_cast<std::size_t>(index)];
  const std::string mlp = name + ".mlp.";
  if (vision.newer) block.feed_forward.gate = LinearSpec{mlp + "gate_proj", vision.hidden, vision.mlp, true};
  block.feed_forward.up = {mlp + (vision.newer ? "up_proj" : "fc1"), vision.hidden, vision.mlp, true};
  block.feed_forward.down = {mlp + (vision.newer ? "down_proj" : "fc2"), vision.mlp, vision.hidden, true};
  return block_module(name, block, {vision.std, vision.std, vision.std, vision.std});
}

ModuleSpec patches(const Vision& vision) {
  const PatchRows rows{vision.channels, vision.times, vision.patch, vision.hidden, "patch_embed.proj"};
  return {"patch_embed",
          rows,
          {{.name = rows.convolution + ".weight",
            .shape = {rows.hidden, rows.channels, rows.times, rows.patch_size, rows.patch_size},
            .init = Init::normal,
            .init_std = vision.std}}};
}

ModuleSpec merger(const Vision& vision) {
  const std::int64_t merged = vision.merge * vision.merge, width = merged * vision.hidden;
  const LinearSpec first{"merger.mlp.0", width, width, true}, second{"merger.mlp.2", width, vision.out, true};
  const Merger body{.norm = vision.norm("merger.ln_q"),
                    .rows = {.in_proj = first, .out_proj = second, .merged = merged}};
  ModuleSpec module{.name = "merger", .body = body};
  add_norm(module.params, body.norm);
  add_linear(module.params, first, LinearSplit::rows, 1, vision.std);
  add_linear(module.params, second, LinearSplit::columns, 1, vision.std);
  return module;
}

void build_vision(const Vision& vision, ModelSpec& spec) {
  spec.modules.push_back(patches(vision));
  for (std::int64_t i = 0; i < vision.layers; ++i) spec.modules.push_back(layer(vision, i));
  spec.modules.push_back(merger(vision));
  spec.hidden_size = vision.out;
  spec.num_layers = vision.layers;
  spec.heads = spec.kv_heads = vision.heads;
  spec.item_shape = {vision.channels, vision.times, vision.patch, vision.patch};
  spec.patch_block = vision.merge;
  spec.preprocessor =
      cat(R"({"image_processor_type": "Qwen2VLImageProcessor", "patch_size": )", vision.patch,
          R"(, "temporal_patch_size": )", vision.times, R"(, "merge_size": )", vision.merge, "}");
}

/// What both config classes have.
void read_common(HfConfig& config, Vision& vision) {
  vision.layers = config.size("depth", 32, {}, HfConfig::kMaxLayers);
  vision.heads = config.size("num_heads", 16, "num_attention_heads");
  vision.channels = config.size("in_channels", 3);
  vision.times = config.size("temporal_patch_size", 2);
  vision.patch = config.size("patch_size", 14);
  vision.merge = config.size("spatial_merge_size", 2, {}, 1024);
  vision.std = config.non_negative("initializer_range", 0.02);
  if (vision.hidden % (4 * vision.heads) != 0)
    config.problem("num_heads", cat("heads must be multiples of 4 wide, of rows and columns a half each: ",
                                    vision.hidden, " wide are all ", vision.heads, " together"));
  vision.rope = config.axial_rope(vision.head_dim());
  // Other spellings in published files, which HF's class does not read.
  config.ignore({"in_chans", "spatial_patch_size"});
}

void build_qwen2_vl(HfConfig& config, ModelSpec& spec) {
  Vision vision{};
  vision.hidden = config.size("embed_dim", 1280);
  vision.mlp = vision.hidden * config.size("mlp_ratio", 4, {}, 1024);
  vision.out = config.size("hidden_size", 3584);
  vision.activation = config.activation("hidden_act", "quick_gelu");
  read_common(config, vision);
  if (config.problems().empty()) build_vision(vision, spec);
}

/// The squares that layers see, in places a side; 0 for the layers that see all of a picture.
std::vector<std::int64_t> read_windows(HfConfig& config, const Vision& vision) {
  const std::int64_t size = config.size("window_size", 112);
  const std::int64_t window = size / vision.merge / vision.patch * vision.merge;
  if (window == 0)
    config.problem("window_size",
                   cat("is less than a feature's ", vision.merge * vision.patch, " pixels: ", size));
  const char* key = "fullatt_block_indexes";
  config.ignore({key});
  const Json whole = config.json().value(key, Json({7, 15, 23, 31}));
  const bool good = whole.is_array() && std::all_of(whole.begin(), whole.end(), [](const Json& index) {
                      return index.is_number_integer();
                    });
  if (!good) config.problem(key, cat("expected a list of whole numbers, got ", shown(whole)));
  std::vector<std::int64_t> windows;
  for (std::int64_t i = 0; i < vision.layers; ++i)
    windows.push_back(std::count(whole.begin(), whole.end(), Json(i)) > 0 ? 0 : window);
  return windows;
}

void build_qwen2_5_vl(HfConfig& config, ModelSpec& spec) {
  Vision vision{};
  vision.newer = true;
  vision.hidden = config.size("hidden_size", 3584);
  vision.mlp = config.size("intermediate_size", 3420);
  vision.out = config.size("out_hidden_size", 3584);
  vision.activation = config.activation("hidden_act", "silu");
  read_common(config, vision);
  vision.windows = read_windows(config, vision);
  config.ignore({"tokens_per_second"});  // of films, for the language model's positions
  if (config.problems().empty()) build_vision(vision, spec);
}

Family vision_family(FamilyInfo info, std::string architecture, void (*build)(HfConfig&, ModelSpec&)) {
  std::string type = info.name;
  return {
      .info = std::move(info),
      .section = "vision_config",
      .model_types = {std::move(type)},
      .architecture = std::move(architecture),
      .build = build,
      .cut_prefix = "",
      .weight_prefixes = {"", "visual.", "model.visual."},
  };
}

}  // namespace

const Family& qwen2_vl_vision_family() {
  static const Family family =
      vision_family({"qwen2_vl_vision", ModelKind::vision,
                     "the vision encoder of Qwen2-VL (Qwen2VisionTransformerPretrainedModel)"},
                    "Qwen2VisionTransformerPretrainedModel", build_qwen2_vl);
  return family;
}

const Family& qwen2_5_vl_vision_family() {
  static const Family family =
      vision_family({"qwen2_5_vl_vision", ModelKind::vision,
                     "the vision encoder of Qwen2.5-VL (Qwen2_5_VisionTransformerPretrainedModel)"},
                    "Qwen2_5_VisionTransformerPretrainedModel", build_qwen2_5_vl);
  return family;
}

}  // namespace cornstarch::catalog
