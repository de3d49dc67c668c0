#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "cornstarch/catalog/extents.h"

/// A model family as data: an ordered list of modules (the names that a stage list may use) with their
/// parameters, shapes and the way tensor parallelism splits them. Validation, the plan, the stage builder,
/// Hugging Face import and export all read this one description.
namespace cornstarch::catalog {

using Shape = std::vector<std::int64_t>;

/// How tensor parallelism splits a parameter: along `dim` in whole units (a unit is head_dim rows for
/// attention, one row elsewhere), rank i of tp holding share(size / unit, tp, i) units. dim -1: every rank
/// holds all of it.
struct TpSplit {
  int dim = -1;
  std::int64_t unit = 1;
  bool operator==(const TpSplit&) const = default;
};

enum class Init { zeros, constant, normal, sinusoid };

/// Where files hold a parameter as rows of a larger one, behind or before others.
struct Stacked {
  std::string name;  ///< of the whole
  std::int64_t rows = 0, first = 0;
};

struct ParamSpec {
  std::string name;  ///< Hugging Face's (old spelling), unique within the modality
  Shape shape;       ///< global
  TpSplit split = {};
  Init init = Init::zeros;
  double init_std = 0.0;  ///< for Init::normal; the value of Init::constant
  bool fixed = false;     ///< never trains (Whisper's sinusoidal positions)
  bool sums_over_tp =
      false;  ///< not split, but a tp rank applies it to a part of its own: the gradient is a sum
  bool of_norm = false;
  bool of_adapter = false;  ///< LoRA's: in no pretrained folder of the model
  std::string tied_to =
      {};  ///< the name of the parameter this one shares its value with (a tied lm_head), or ""
  std::optional<Stacked> stacked = {};
  // What the run makes of it, as resolve() decides:
  bool trains = false;   ///< never if it is fixed, or if its module's output does not reach the loss
  double lr_factor = 1;  ///< of optimizer.lr
  double weight_decay = 0;
};

enum class NormKind { layer_norm, rms_norm };
enum class Activation { gelu, gelu_tanh, quick_gelu, silu, relu };

struct NormSpec {
  NormKind kind = NormKind::layer_norm;
  double eps = 1e-5;
  std::int64_t size = 0;
  std::string prefix;  ///< "<prefix>.weight", "<prefix>.bias" (layer_norm)
  double offset = 0;   ///< rms_norm: added to the weight, which begins at 1 - offset
};

/// Rotary embedding, half-split ("rotate_half") as Hugging Face's Llama; its types are those of
/// transformers.modeling_rope_utils (_compute_<type>_parameters).
struct RopeSpec {
  enum class Type { standard, linear, dynamic, yarn, longrope, llama3 } type = Type::standard;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;  ///< llama3
  double high_freq_factor = 4.0;
  std::int64_t original_max_positions = 0;  ///< llama3, yarn, longrope; dynamic: max_position_embeddings
  double beta_fast = 32.0;  ///< yarn: rotations within the original length, where scaling begins and ends
  double beta_slow = 1.0;
  bool truncate = true;           ///< yarn: the dimensions that those give are made whole
  double attention_factor = 1.0;  ///< what cosines and sines are multiplied by
  /// longrope: what wavelengths are multiplied by, in samples of up to the original length and in longer ones
  std::vector<double> short_factors = {}, long_factors = {};
  /// M-RoPE: a position is a time, a row and a column, and the frequencies are dealt to these three in turns
  /// of so many (mrope_section). Empty: a position is one number.
  std::vector<std::int64_t> sections = {};
  /// Each section has the frequencies of a head of its own, twice as wide as the section.
  bool own_frequencies = false;

  /// Whether a sample's frequencies depend on its own length, where that is beyond the original.
  bool depends_on_length() const { return type == Type::dynamic || type == Type::longrope; }
  auto operator<=>(const RopeSpec&) const = default;
};

/// A low-rank adapter (Hu et al., "LoRA", 2021): scale * B A x is added, A [rank, in], B [out, rank]. While
/// it trains, a share of x is dropped before A.
struct LoraSpec {
  std::int64_t rank = 0;
  double scale = 0;
  double dropout = 0;
};

/// One linear layer: y = x W^T + b with W [out, in]. `prefix` + ".weight" / ".bias" are its parameters, with
/// an adapter ".lora_A.weight" and ".lora_B.weight", too.
struct LinearSpec {
  std::string prefix;
  std::int64_t in = 0;
  std::int64_t out = 0;
  bool bias = false;
  std::optional<LoraSpec> lora = {};
  std::optional<Stacked> stacked = {};  ///< where files hold several as one: its prefix and rows
};

/// o(softmax(q k^T / sqrt(head_dim)) v), with queries and keys normed where there is a norm, head by head if
/// its size is head_dim, else over the heads of all ranks of tp; queries multiplied by q_scale, both rotated
/// where there is a rotary embedding. q, k, v are split by rows over tp, o by columns, both in whole heads.
struct AttentionSpec {
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  LinearSpec q, k, v, o;
  std::optional<NormSpec> q_norm, k_norm;
  double q_scale = 1;
  bool causal = false;
  double softcap = 0;  ///< scores s become softcap tanh(s / softcap); 0: they stay
  /// Causal: a token sees so many of the last tokens, itself among them. Else it sees of its picture the
  /// square of so many places a side that it lies in. 0: all.
  std::int64_t window = 0;
  std::optional<RopeSpec> rope;
};

/// down(act(gate(x)) * up(x)), or down(act(up(x))) without a gate. gate and up are split by rows over tp,
/// down by columns.
struct FeedForwardSpec {
  Activation activation = Activation::gelu;
  std::optional<LinearSpec> gate;
  LinearSpec up, down;
};

/// A factor for each channel, drawn as `value` ("layer scale").
struct ScaleSpec {
  std::string name;  ///< of the parameter
  std::int64_t size = 0;
  double value = 1;
};

/// A transformer block: x += attention_norm(attention(norm1(x))); x +=
/// feed_forward_norm(feed_forward(norm2(x))), without the norms that are not there: most have those in front
/// (pre-norm), OLMo 2 those behind, Gemma all. What is added is multiplied by a scale where there is one.
struct BlockSpec {
  std::optional<NormSpec> norm1, norm2, attention_norm, feed_forward_norm;
  std::optional<ScaleSpec> attention_scale, feed_forward_scale;
  AttentionSpec attention;
  FeedForwardSpec feed_forward;
};

/// Pointers to the linear layers of a BlockSpec, const or not, in the order of execution.
auto linears_of(auto& block) {
  auto& a = block.attention;
  auto& f = block.feed_forward;
  std::vector out{&a.q, &a.k, &a.v, &a.o};
  if (f.gate) out.push_back(&*f.gate);
  out.insert(out.end(), {&f.up, &f.down});
  return out;
}

/// ids [b, t] -> [b, t, hidden]; the table is split by vocabulary over tp.
struct TokenEmbedding {
  std::int64_t vocab = 0, hidden = 0;
  std::string prefix;
  std::int64_t padding_idx = -1;  ///< the row that lookups give no gradient to (HF's pad_token_id), or -1
  double scale = 1;               ///< rows are multiplied by it, rounded to their type
};

/// Pixels [n, channels, size, size] -> [n, leading + patches, hidden]: convolution, class token in front
/// where there is one, positions.
struct PatchEmbedding {
  std::int64_t channels = 3, image_size = 0, patch_size = 0, hidden = 0;
  std::string convolution;       ///< "<convolution>.weight" and, with a bias, ".bias" are its parameters
  std::string class_token = {};  ///< the parameter's name, or ""
  std::string positions;         ///< the parameter's name

  std::int64_t leading() const { return class_token.empty() ? 0 : 1; }
  std::int64_t side() const { return image_size / patch_size; }
  std::int64_t patches() const { return side() * side(); }
};

/// Patches [1, n, channels, times, size, size] of items of any size -> [1, n, hidden]: a convolution whose
/// stride is its kernel.
struct PatchRows {
  std::int64_t channels = 3, times = 1, patch_size = 0, hidden = 0;
  std::string convolution;  ///< "<convolution>.weight" is its parameter

  std::int64_t values() const { return channels * times * patch_size * patch_size; }
};

/// [n, in, frames] -> gelu(conv) [n, out, frames / stride], kernel 3, padding 1. Split over tp by output
/// channels
/// (`split_output`, as Whisper's conv1) or by input channels with a sum after it (conv2).
struct Conv1d {
  std::int64_t in = 0, out = 0, stride = 1;
  bool split_output = false;
  std::string prefix;
};

/// Whisper: [n, hidden, t] -> [n, t, hidden] + positions [t, hidden].
struct AddPositions {
  std::int64_t positions = 0, hidden = 0;
  std::string prefix;
};

/// Means over neighbours in the grid of an item's tokens: [n, rows x columns, hidden] -> [n, (rows /
/// row_stride) x (columns / column_stride), hidden]. What does not fill a stride is left out, as AvgPool1d
/// and AvgPool2d do. A picture's grid are its patches; a recording's is one row.
struct AvgPool {
  std::int64_t rows = 1, columns = 1;
  std::int64_t row_stride = 1, column_stride = 1;

  std::int64_t pooled_columns() const { return columns / column_stride; }
  std::int64_t places() const { return rows / row_stride * pooled_columns(); }
};

struct Norm {
  NormSpec norm;
  bool pooled_only = false;  ///< feeds only the pooled output (CLIP's post_layernorm): not computed
};

/// [b, t, hidden] -> logits over the vocabulary, split by vocabulary over tp.
struct LmHead {
  LinearSpec linear;
  double softcap = 0;  ///< as AttentionSpec's, of logits
};

/// [n, t, in] -> [n, t, out]: one linear layer, or in_proj, activation, out_proj (hidden width = out), of
/// means of features where there is a pool; with `merged` > 1, of so many consecutive tokens as one: [n, t /
/// merged, merged x in]. Parameters "projector.projection.*" (linear) or "projector.in_proj.*",
/// "projector.out_proj.*" (mlp). Over tp: linear is replicated; mlp splits in_proj by rows and out_proj by
/// columns. With a norm ("projector.norm.weight") rows go through it first. Without parameters features go on
/// as they are.
struct Projector {
  std::optional<LinearSpec> in_proj;
  Activation activation = Activation::gelu;
  LinearSpec out_proj;
  std::optional<AvgPool> pool = {};
  std::int64_t merged = 1;
  std::optional<NormSpec> norm = {};
  bool identity = false;  ///< without parameters; `out_proj` says how wide features are
};

/// The encoder's own projector (Qwen2-VL's): `rows` of normed tokens.
struct Merger {
  NormSpec norm;
  Projector rows;
};

/// What a kind knows stands in module_kind.cpp.
using ModuleBody = std::variant<TokenEmbedding, PatchEmbedding, PatchRows, Conv1d, AddPositions, BlockSpec,
                                AvgPool, Norm, LmHead, Projector, Merger>;

struct ModuleSpec {
  std::string name;  ///< the Hugging Face path that a stage list uses
  ModuleBody body;
  std::vector<ParamSpec> params = {};
};

enum class ModelKind { vision, audio, llm };

/// "vision", "audio", "llm".
const char* name_of(ModelKind kind);

/// What stands in samples for encoders to take. No encoder takes video yet.
enum class MediaKind { image, audio, video };
inline constexpr std::size_t kMediaKinds = 3;

/// What an encoder of this kind takes.
MediaKind media_of(ModelKind encoder);

/// What a family says of one Hugging Face config.json.
struct ModelSpec {
  std::string family;  ///< HF model_type
  ModelKind kind = ModelKind::llm;
  std::vector<ModuleSpec> modules = {};  ///< in the order of execution
  std::int64_t hidden_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t heads = 0, kv_heads = 0;
  std::int64_t vocab_size = 0;     ///< llm
  std::int64_t max_positions = 0;  ///< llm: longest sequence; 0: no limit
  bool tied_embeddings = false;    ///< llm
  /// Encoders: the shape of one media item as the first module takes it ([3, H, W] or [mels, frames]); where
  /// each item has extents of its own (fixed_extents), that of one of its places ([3, times, size, size]).
  Shape item_shape = {};
  /// Encoders: patches of an item lie in squares of so many a side, one behind the other.
  std::int64_t patch_block = 1;
  /// Encoders: how many of the first tokens of an item are no patch (CLIP's class token: 1), which
  /// feature_select `patch` drops.
  std::int64_t leading_tokens = 0;
  /// Encoders: the preprocessor_config.json where a folder has none, or "": CLIP's and Whisper's defaults.
  std::string preprocessor = {};
  std::string hf_config = {};  ///< for config_json(): what the model came from, without a type
};

/// The window that all blocks have, or 0.
std::int64_t common_window(const ModelSpec& spec);

/// The share of the layers that have each window.
std::map<std::int64_t, double> window_shares(const ModelSpec& spec);

/// The windows that sequences of `length` tokens notice.
std::set<std::int64_t> windows_of(const ModelSpec& spec, std::int64_t length);

/// Whether samples of up to `length` tokens can have rotary embeddings that depend on their own length.
bool notices_length(const ModelSpec& spec, std::int64_t length);

/// Whether rotary embeddings tell apart where in a picture a token lies.
bool notices_grids(const ModelSpec& spec);

/// Whether any of a module's parameters trains.
bool trains(const ModuleSpec& module);

/// Has all of them train that can, or none.
void set_trains(ModuleSpec& module, bool wanted);

/// How files name a parameter, and its shape there.
const std::string& stored_name(const ParamSpec& param);
Shape stored_shape(const ParamSpec& param);

/// Elements of a module's parameters; a tied one counts where it lives only.
std::int64_t num_params(const ModuleSpec& module);

/// Names with numbers that follow each other drawn together: "model.layers.0", ..., "model.layers.5" become
/// "model.layers.0..5", which config::expand_module_range takes apart again.
std::vector<std::string> compress_modules(const std::vector<std::string>& names);

}  // namespace cornstarch::catalog
