#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/log.h"

/// The config as plain values. What a key means, its range and its default stand in one field description per
/// struct (src/fields.h), from which parsing, `--set`, the dump, the JSON Schema, docs/config.md and
/// did-you-mean derive.
namespace cornstarch::config {

enum class SpMode { all_to_all, ring_attn, ring };
enum class Distribution { uniform, zigzag, makespan };
enum class AttentionMask { causal, image_bidirectional, modality_isolated };
enum class Checkpointing { none, selective, full };
/// Which samples lie in one row.
enum class Packing { none, microbatch, first_fit };
enum class Layout { separate, single };
enum class ProjectorType { linear, mlp, norm_linear, none };
enum class FeatureSelect { full, patch };
enum class ChatTemplate { plain, vicuna, llama2, llama3, mistral, chatml, qwen2_vl, gemma, checkpoint };
enum class TrainOn { answers, last_answer, all };
enum class OnLongSample { cut, refuse };
enum class OnBadSample { fail, skip };
enum class OptimizerType { adamw, sgd };
enum class NoDecay { vectors, norms_and_biases, nothing };
enum class LrScheduleType { cosine, linear, constant };
enum class Precision { fp32, fp64, bf16, bf16_pure, fp8, fp8_in_fp64 };
/// Whether products of layers round their operands to eight bits.
constexpr bool rounds_to_fp8(Precision p) { return p == Precision::fp8 || p == Precision::fp8_in_fp64; }
/// Whether values are roundings of fp32 masters.
constexpr bool has_masters(Precision p) { return p == Precision::bf16 || p == Precision::fp8; }
enum class ExportDtype { same, fp32, bf16, fp16 };
enum class Device { cpu, cuda };
enum class Sharding { none, zero1, zero3 };
enum class ReduceDtype { fp32, bf16 };
enum class OnSaveError { warn, fail };
enum class Resume { never, automatic, always };
using LogLevel = log::Level;

/// How a config spells a choice.
template <typename Enum>
const char* name_of(Enum value);

struct Parallel {
  int tp = 1;
  int sp = 1;
  SpMode mode = SpMode::all_to_all;
  Distribution distribution = Distribution::makespan;
  bool tp_sequence_parallel = false;
  std::vector<std::vector<std::string>> stages;  ///< as written: ranges ("layers.0..5") not yet expanded
};

struct Projector {
  ProjectorType type = ProjectorType::linear;
  int avg_pool = 1;
  std::string activation = "gelu";
};

struct EncoderTrain {
  bool encoder = true;
  bool projector = true;
};

/// What a part of the model has otherwise than `optimizer` says.
struct PartOptimizer {
  std::optional<double> lr;
  std::optional<double> weight_decay;
  std::optional<NoDecay> no_decay;
};

struct EncoderOptimizer {
  PartOptimizer encoder;
  PartOptimizer projector;
};

/// Low-rank adapters beside linear layers of a model, which train in its place.
struct Lora {
  int rank = 8;
  double alpha = 16;
  double dropout = 0;
  std::vector<std::string> targets;
  std::optional<std::string> pretrained;  ///< a folder in PEFT's format
  bool merge = false;
};

struct Encoder {
  std::string name;  ///< the key under `encoders`: the modality
  std::string family;
  std::optional<std::string> pretrained;   ///< absolute after loading
  std::optional<std::string> config_json;  ///< `config:` as JSON text (HF config.json keys)
  std::vector<std::string> ignore_weights;
  Projector projector;
  EncoderTrain train;
  std::optional<std::vector<std::string>> train_only;  ///< as written: ranges not yet expanded
  std::vector<std::string> train_except;
  EncoderOptimizer optimizer;
  std::optional<Lora> lora;
  std::string placeholder;  ///< default "<name>"
  int feature_layer = -1;
  bool feature_norm = true;
  FeatureSelect feature_select = FeatureSelect::full;
  Checkpointing activation_checkpointing = Checkpointing::none;
  std::optional<Parallel> parallel;
};

struct Llm {
  std::string family;
  std::optional<std::string> pretrained;
  std::optional<std::string> config_json;
  std::vector<std::string> ignore_weights;
  bool train = true;
  std::optional<std::vector<std::string>> train_only;
  std::vector<std::string> train_except;
  PartOptimizer optimizer;
  std::optional<Lora> lora;
  AttentionMask attention_mask = AttentionMask::causal;
  Checkpointing activation_checkpointing = Checkpointing::none;
  std::optional<Parallel> parallel;
};

struct Model {
  std::vector<Encoder> encoders;  ///< in the order of declaration
  Llm llm;
};

struct Batch {
  int microbatch_size = 1;
  std::optional<int> global_size;
  std::optional<int> num_microbatches;
  int sequence_length = 0;
  Packing packing = Packing::none;
};

struct Dataset {
  std::string path;
  std::optional<std::string> media_root = {};  ///< default: the folder of `path`
  double weight = 1.0;
  std::optional<int> max_samples = {};
};

struct Data {
  std::vector<Dataset> train;
  std::vector<Dataset> eval;
  std::string tokenizer;
  std::optional<std::string> bos_token, eos_token, pad_token;  ///< default: what stands beside the tokenizer
  ChatTemplate chat_template = ChatTemplate::plain;
  TrainOn train_on = TrainOn::answers;
  OnLongSample on_long_sample = OnLongSample::cut;
  bool shuffle = true;
  OnBadSample on_bad_sample = OnBadSample::fail;
  double max_bad_fraction = 0.01;  ///< with skip
  int num_workers = 4;
};

struct Optimizer {
  OptimizerType type = OptimizerType::adamw;
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.95};
  double eps = 1e-8;
  double weight_decay = 0.0;
  NoDecay no_decay = NoDecay::vectors;
  double momentum = 0.0;     ///< sgd only
  double grad_clip = 1.0;    ///< 0: no clipping
  int max_bad_steps = 3;     ///< in a row, whose loss or gradients are not finite
  double spike_zscore = 0;   ///< from which on a loss is a spike; 0: none is
  bool skip_spikes = false;  ///< whether nothing is learnt from one
};

struct LrSchedule {
  LrScheduleType type = LrScheduleType::constant;
  int warmup_steps = 0;
  double min_lr_ratio = 0.0;
};

struct Eval {
  int every = 0;  ///< steps; 0: only at the end
  int max_samples = 512;
  double hold_out = 0;       ///< of data.train: below 1 a share, else so many samples
  int generate = 0;          ///< answers at each measurement
  int generate_tokens = 32;  ///< of each, at most
};

struct Log {
  int every = 0;  ///< steps; 0: as time goes
  double every_seconds = 10;
  LogLevel level = LogLevel::info;
};

struct Stop {
  std::optional<double> grace_seconds;  ///< from a signal to the kill; default: what is known of the launcher
};

struct Checkpoint {
  int every = 0;             ///< steps; 0: not by steps
  double every_minutes = 0;  ///< 0: not by time
  int keep = 2;
  int keep_every = 0;  ///< steps; 0: none of them
  bool async = true;
  std::optional<std::string> dir;  ///< default: run_dir/checkpoints
  OnSaveError on_error = OnSaveError::warn;
};

struct Deadlines {  ///< seconds
  double start = 120;
  double step = 0;  ///< 0: none
  double data = 600;
  double collective = 600;
};

struct RunConfig {
  Model model;
  Layout layout = Layout::separate;
  Batch batch;
  Data data;
  Optimizer optimizer;
  LrSchedule lr_schedule;
  Eval eval;
  Log log;
  Stop stop;
  Deadlines deadlines;
  Checkpoint checkpoint;
  Resume resume = Resume::never;
  Precision precision = Precision::fp32;
  Sharding sharding = Sharding::none;
  ReduceDtype reduce_dtype = ReduceDtype::fp32;
  Device device = Device::cpu;
  bool cuda_graphs = false;
  bool deterministic = false;
  std::uint64_t seed = 0;
  int steps = 0;
  std::string run_dir = "runs/run";
  ExportDtype export_dtype = ExportDtype::same;
};

/// Whether there are samples to measure on.
inline bool measures(const RunConfig& config) {
  return !config.data.eval.empty() || config.eval.hold_out > 0;
}

/// Where a run keeps its checkpoints.
std::string checkpoint_folder(const RunConfig& config);

}  // namespace cornstarch::config
