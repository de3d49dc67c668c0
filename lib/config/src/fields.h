#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "choices.h"
#include "cornstarch/config/run_config.h"

/// What every key is called, means and may be: the one description that parsing, checks, --set, the dump, the
/// JSON Schema and the reference derive from.
namespace cornstarch::config {

/// What a text (or, for json, a map) stands for.
enum class Text { name, input_path, output_path, json };

struct Rules {
  bool required = false;
  std::optional<double> min = {};         ///< >=
  std::optional<double> above = {};       ///< >
  std::optional<double> max = {};         ///< <=
  std::optional<double> below = {};       ///< <
  Text text = Text::name;                 ///< none is ever empty
  std::size_t count = 0;                  ///< exact length of a list; 0: any
  bool not_empty = false;                 ///< lists and lists in lists
  std::vector<std::string> aliases = {};  ///< accepted: the names that Cornstarch's users know
  std::vector<std::string> hints = {};    ///< not accepted, but likely meant: names of other trainers
  std::string fallback = {};              ///< the default in words, where the value alone does not say it
};

template <typename Struct, typename Member>
struct Field {
  using Type = Member;
  const char* name;
  Member Struct::* member;
  const char* doc;
  Rules rules;
};

template <typename Struct, typename Member>
Field<Struct, Member> field(const char* name, Member Struct::* member, const char* doc, Rules rules = {}) {
  return {name, member, doc, std::move(rules)};
}

/// The fields of a struct. `fields()` lists all members but `key()`, the member that holds the struct's own
/// key in a map of them. Of each group in `exactly_one()` one key must be given.
template <typename T>
struct Describe;

using Groups = std::vector<std::vector<std::string>>;

struct NoGroups {
  static Groups exactly_one() { return {}; }
};

template <>
struct Describe<Parallel> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("tp", &Parallel::tp, "Tensor-parallel size: ranks that share each layer.",
              {.min = 1,
               .aliases = {"tp_size"},
               .hints = {"tensor_parallel", "tensor_parallel_size", "tensor_model_parallel_size",
                         "tensor_parallel_degree"}}),
        field("sp", &Parallel::sp, "Context-parallel size: ranks that share each sequence.",
              {.min = 1,
               .aliases = {"sp_size"},
               .hints = {"cp", "cp_size", "context_parallel", "context_parallel_size",
                         "context_parallel_degree", "sequence_parallel_size"}}),
        field(
            "mode", &Parallel::mode,
            "How the ranks of a sequence attend. Must be given when sp is above 1, is ignored when it is 1.",
            {.aliases = {"sequence_parallelism_mode", "sequence_parallelism"}}),
        field("distribution", &Parallel::distribution,
              "Which tokens of a sequence each of the LLM's sp ranks has. An encoder's, which are all the "
              "same work, are always split evenly.",
              {.hints = {"token_distribution", "load_balancing"}}),
        field("tp_sequence_parallel", &Parallel::tp_sequence_parallel,
              "Whether the ranks of a tensor-parallel group share the tokens between their matrix products, "
              "too: less "
              "memory, the same traffic.",
              {.hints = {"sequence_parallel", "tp_sp"}}),
        field("stages", &Parallel::stages,
              "The pipeline: one list of module names per stage, every module once and in order "
              "(`cornstarch-train modules` prints them). `model.layers.0..5` stands for six layers.",
              {.required = true,
               .not_empty = true,
               .aliases = {"pipeline_template"},
               .hints = {"modules_per_stage", "pipeline", "modules", "pipeline_stages"}})};
  }
};

template <>
struct Describe<Projector> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("type", &Projector::type, "What stands between the encoder and the LLM.",
              {.hints = {"projector_type", "mm_projector_type"}}),
        field(
            "avg_pool", &Projector::avg_pool,
            "Features are averaged before it: so many beside each other, of pictures also so many below each "
            "other. What does not fill such a square is left out.",
            {.min = 1,
             .hints = {"pool_stride", "mm_spatial_pool_stride", "downsample_ratio", "spatial_pool_stride"}}),
        field("activation", &Projector::activation, "The activation of an `mlp`, by its Hugging Face name.")};
  }
};

template <>
struct Describe<EncoderTrain> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("encoder", &EncoderTrain::encoder, "Whether the encoder's parameters train.",
              {.hints = {"module", "backbone"}}),
        field("projector", &EncoderTrain::projector, "Whether the projector's parameters train.")};
  }
};

template <>
struct Describe<PartOptimizer> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("lr", &PartOptimizer::lr,
              "Its learning rate after the warm-up; `lr_schedule` is the same for all.",
              {.above = 0, .hints = {"learning_rate", "max_lr"}, .fallback = "`optimizer.lr`"}),
        field("weight_decay", &PartOptimizer::weight_decay, "Its weight decay.",
              {.min = 0, .hints = {"wd"}, .fallback = "`optimizer.weight_decay`"}),
        field("no_decay", &PartOptimizer::no_decay, "Which of its parameters have no weight decay.",
              {.fallback = "`optimizer.no_decay`"})};
  }
};

template <>
struct Describe<EncoderOptimizer> : NoGroups {
  static auto fields() {
    return std::tuple{field("encoder", &EncoderOptimizer::encoder, "Of the encoder without its projector.",
                            {.hints = {"module", "backbone"}}),
                      field("projector", &EncoderOptimizer::projector, "Of the projector.")};
  }
};

template <>
struct Describe<Lora> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("rank", &Lora::rank, "Rows of A and columns of B: a layer gives W x + alpha / rank * B A x.",
              {.min = 1, .hints = {"r", "lora_rank", "lora_r"}}),
        field("alpha", &Lora::alpha,
              "What the adapter's share is multiplied by, before it is divided by rank.",
              {.above = 0, .hints = {"lora_alpha"}}),
        field("dropout", &Lora::dropout,
              "While training, this share of what an adapter takes is zero, and the rest divided by 1 - "
              "dropout; what is dropped does not depend on the layout.",
              {.min = 0, .below = 1, .hints = {"lora_dropout"}}),
        field("targets", &Lora::targets,
              "The layers that get adapters, by the last part of their names (q_proj, v_proj, down_proj); "
              "`all-linear`: every linear layer of the model's blocks.",
              {.required = true,
               .not_empty = true,
               .hints = {"target_modules", "lora_target", "lora_target_modules", "modules"}}),
        field("pretrained", &Lora::pretrained,
              "A folder in PEFT's format (adapter_config.json, adapter_model.safetensors) to begin with.",
              {.text = Text::input_path,
               .hints = {"path", "adapter_name_or_path"},
               .fallback = "A drawn at random, B zero"}),
        field("merge", &Lora::merge,
              "Whether the run's model is written whole, the adapters added to its weights, instead of the "
              "adapters alone.",
              {.hints = {"merge_weights", "merge_and_unload"}})};
  }
};

template <>
struct Describe<Encoder> {
  static constexpr auto key() { return &Encoder::name; }
  static Groups exactly_one() { return {{"pretrained", "config"}}; }
  static auto fields() {
    return std::tuple{
        field("family", &Encoder::family,
              "The model family, as `cornstarch-train modules --list` shows (Hugging Face's model_type).",
              {.required = true, .hints = {"model_type", "architecture"}}),
        field("pretrained", &Encoder::pretrained,
              "A Hugging Face folder: config.json and model.safetensors or its index.",
              {.text = Text::input_path, .hints = {"model_name_or_path", "checkpoint", "path", "weights"}}),
        field("config", &Encoder::config_json,
              "Keys of a Hugging Face config.json: the model is drawn at random. Instead of `pretrained`.",
              {.text = Text::json, .hints = {"hf_config"}}),
        field(
            "ignore_weights", &Encoder::ignore_weights,
            "Weights of the folder that the model has no place for and does without: names, or patterns with "
            "`*` for any letters. Any other such weight is an error.",
            {.hints = {"ignore_keys", "unexpected_keys"}, .fallback = "none"}),
        field("projector", &Encoder::projector, "The projector to the LLM's width.",
              {.hints = {"connector", "adapter", "init_projector_type"}}),
        field("train", &Encoder::train, "What trains; what does not is frozen.",
              {.hints = {"freeze", "trainable"}}),
        field("train_only", &Encoder::train_only,
              "The modules that train: names and ranges as in `stages`. What `train` freezes stays frozen.",
              {.hints = {"trainable_modules", "trainable_layers", "unfrozen_parameters", "unfreeze"},
               .fallback = "all"}),
        field("train_except", &Encoder::train_except,
              "Modules that do not train, of those that otherwise would: names and ranges as in `stages`.",
              {.hints = {"frozen_modules", "frozen_layers", "freeze_layers", "freeze_modules", "frozen"},
               .fallback = "none"}),
        field("optimizer", &Encoder::optimizer,
              "What the encoder and the projector have otherwise than the run's `optimizer`.",
              {.hints = {"optim"}}),
        field("lora", &Encoder::lora, "Adapters that train instead of the encoder's own weights.",
              {.hints = {"peft", "adapters"}, .fallback = "none"}),
        field("placeholder", &Encoder::placeholder, "The text that stands for one item in a conversation.",
              {.hints = {"token", "image_token"}, .fallback = "the encoder's name in <>"}),
        field(
            "feature_layer", &Encoder::feature_layer,
            "Whose hidden states the projector reads, counted from the end: -1 the last layer, with the norm "
            "behind it (see `feature_norm`), -2 the one before (LLaVA).",
            {.max = -1, .hints = {"vision_feature_layer", "mm_vision_select_layer"}}),
        field("feature_select", &Encoder::feature_select, "Which rows of an item reach the LLM.",
              {.hints = {"vision_feature_select_strategy", "mm_vision_select_feature"}}),
        field("feature_norm", &Encoder::feature_norm,
              "Whether the last layer's features go through the norm behind it, where there is one (Whisper, "
              "SigLIP, DINOv2). LLaVA takes SigLIP's without.",
              {.hints = {"final_norm", "post_layernorm"}}),
        field("activation_checkpointing", &Encoder::activation_checkpointing,
              "What backward computes again instead of keeping it.",
              {.hints = {"gradient_checkpointing", "recompute"}}),
        field("parallel", &Encoder::parallel,
              "How the encoder is spread over ranks. Needed in `layout: separate`.",
              {.hints = {"parallelism", "plugin"}, .fallback = "none"})};
  }
};

template <>
struct Describe<Llm> {
  static Groups exactly_one() { return {{"pretrained", "config"}}; }
  static auto fields() {
    return std::tuple{
        field("family", &Llm::family,
              "The model family, as `cornstarch-train modules --list` shows (Hugging Face's model_type).",
              {.required = true, .hints = {"model_type", "architecture"}}),
        field("pretrained", &Llm::pretrained,
              "A Hugging Face folder: config.json and model.safetensors or its index.",
              {.text = Text::input_path, .hints = {"model_name_or_path", "checkpoint", "path", "weights"}}),
        field("config", &Llm::config_json,
              "Keys of a Hugging Face config.json: the model is drawn at random. Instead of `pretrained`.",
              {.text = Text::json, .hints = {"hf_config"}}),
        field(
            "ignore_weights", &Llm::ignore_weights,
            "Weights of the folder that the model has no place for and does without: names, or patterns with "
            "`*` for any letters. Any other such weight is an error.",
            {.hints = {"ignore_keys", "unexpected_keys"}, .fallback = "none"}),
        field("train", &Llm::train, "Whether the LLM's parameters train.",
              {.hints = {"freeze", "trainable"}}),
        field("train_only", &Llm::train_only,
              "The modules that train: names and ranges as in `stages`. What `train` freezes stays frozen.",
              {.hints = {"trainable_modules", "trainable_layers", "unfrozen_parameters", "unfreeze"},
               .fallback = "all"}),
        field("train_except", &Llm::train_except,
              "Modules that do not train, of those that otherwise would: names and ranges as in `stages`.",
              {.hints = {"frozen_modules", "frozen_layers", "freeze_layers", "freeze_modules", "frozen"},
               .fallback = "none"}),
        field("optimizer", &Llm::optimizer, "What the LLM has otherwise than the run's `optimizer`.",
              {.hints = {"optim"}}),
        field("lora", &Llm::lora, "Adapters that train instead of the LLM's own weights.",
              {.hints = {"peft", "adapters"}, .fallback = "none"}),
        field("attention_mask", &Llm::attention_mask, "Which tokens a token sees.",
              {.hints = {"mask", "mask_type"}}),
        field("activation_checkpointing", &Llm::activation_checkpointing,
              "What backward computes again instead of keeping it.",
              {.hints = {"gradient_checkpointing", "recompute"}}),
        field("parallel", &Llm::parallel, "How the LLM is spread over ranks. Needed in `layout: separate`.",
              {.hints = {"parallelism", "plugin"}, .fallback = "none"})};
  }
};

template <>
struct Describe<Model> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("encoders", &Model::encoders,
              "The encoders by the name of their modality (a word of your choice, such as vision or audio), "
              "in the "
              "order in which they get their ranks.",
              {.hints = {"encoder", "modalities"}, .fallback = "none"}),
        field("llm", &Model::llm, "The language model.",
              {.required = true, .aliases = {"language_model"}, .hints = {"lm", "decoder", "text"}})};
  }
};

template <>
struct Describe<Batch> {
  static Groups exactly_one() { return {{"global_size", "num_microbatches"}}; }
  static auto fields() {
    return std::tuple{
        field("microbatch_size", &Batch::microbatch_size, "Samples that one forward pass takes.",
              {.min = 1,
               .hints = {"micro_batch_size", "batch_size", "per_device_train_batch_size",
                         "per_gpu_train_batch_size", "local_batch_size", "train_micro_batch_size_per_gpu"}}),
        field("global_size", &Batch::global_size,
              "Samples of one step over all replicas: microbatch_size x num_microbatches x replicas.",
              {.min = 1,
               .hints = {"global_batch_size", "train_batch_size", "total_batch_size"},
               .fallback = "derived"}),
        field("num_microbatches", &Batch::num_microbatches,
              "Microbatches of one step in each replica. Instead of `global_size`.",
              {.min = 1,
               .hints = {"gradient_accumulation_steps", "gradient_accumulation", "grad_accum_steps",
                         "accumulate_grad_batches", "num_micro_batches"},
               .fallback = "derived"}),
        field("sequence_length", &Batch::sequence_length,
              "Tokens of a row of the LLM, counted after placeholders are expanded. Shorter rows are padded, "
              "unless there is `packing`.",
              {.required = true,
               .min = 2,
               .hints = {"seq_len", "seq_length", "max_length", "max_seq_len", "max_seq_length",
                         "model_max_length", "sequence_len", "block_size", "cutoff_len"}}),
        field("packing", &Batch::packing,
              "Which samples lie one behind the other in a row. None sees another, and positions begin anew "
              "with each, so that what is computed of a sample stays the same.",
              {.hints = {"pack", "sample_packing", "packed", "padding_free", "remove_padding"}})};
  }
};

template <>
struct Describe<Dataset> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("path", &Dataset::path,
              "A .jsonl or .json file of conversations, or a .tar of samples with their media "
              "(docs/data.md); or "
              "several: train-{000..127}.tar, part-*.jsonl.",
              {.required = true, .text = Text::input_path, .hints = {"data_path", "file", "name"}}),
        field("media_root", &Dataset::media_root, "The folder that holds the pictures and recordings.",
              {.text = Text::input_path,
               .hints = {"image_folder", "media_folder", "root", "image_dir", "media_dir", "image_root"},
               .fallback = "the folder of `path`"}),
        field("weight", &Dataset::weight,
              "How often an epoch takes its samples: round(weight x samples) in all, the first of them once "
              "more or not at all.",
              {.above = 0, .hints = {"ratio", "sampling_ratio", "sampling_weight", "probability"}}),
        field("max_samples", &Dataset::max_samples, "The most of its samples that are used: the first ones.",
              {.min = 1, .hints = {"num_samples", "limit", "max_train_samples"}, .fallback = "all"})};
  }
};

template <>
struct Describe<Data> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("train", &Data::train, "The data sets to train on.",
              {.required = true, .not_empty = true, .hints = {"datasets", "dataset", "train_files"}}),
        field("eval", &Data::eval, "The data sets held out to measure on.",
              {.hints = {"validation", "valid", "test", "val"}, .fallback = "none"}),
        field("tokenizer", &Data::tokenizer, "A Hugging Face tokenizer.json, or the folder that holds it.",
              {.required = true,
               .text = Text::input_path,
               .hints = {"tokenizer_path", "tokenizer_file", "tokenizer_name", "tokenizer_name_or_path"}}),
        field("bos_token", &Data::bos_token, "The token that texts begin with; absent: there is none.",
              {.hints = {"begin_token"}, .fallback = "what the files beside the tokenizer say"}),
        field("eos_token", &Data::eos_token, "The token that ends an answer; absent: there is none.",
              {.hints = {"end_token"}, .fallback = "what the files beside the tokenizer say"}),
        field("pad_token", &Data::pad_token, "The token that fills rows up; absent: the end token does.",
              {.fallback = "what the files beside the tokenizer say"}),
        field("chat_template", &Data::chat_template, "How a conversation becomes text.",
              {.hints = {"template", "conv_template"}}),
        field("train_on", &Data::train_on, "Which tokens of a conversation are learnt. Media never are.",
              {.hints = {"train_on_inputs", "train_on_prompt", "mask_prompt", "loss_on"}}),
        field("on_long_sample", &Data::on_long_sample,
              "What happens when a sample has more tokens than `batch.sequence_length`.",
              {.hints = {"truncation", "truncate", "excess_length_strategy"}}),
        field("shuffle", &Data::shuffle, "Whether the order changes from epoch to epoch, by `seed`."),
        field("on_bad_sample", &Data::on_bad_sample,
              "What happens when a sample is bad: when it cannot be read, does not fit, or says something "
              "impossible."),
        field("max_bad_fraction", &Data::max_bad_fraction,
              "With `on_bad_sample: skip`, the share of samples that may be bad. A run ends when more of "
              "what it "
              "read were, once it has read 1,000 samples or the whole data set.",
              {.min = 0, .max = 1}),
        field("num_workers", &Data::num_workers, "Threads that read and decode samples, on each rank.",
              {.min = 1,
               .hints = {"workers", "num_threads", "dataloader_num_workers", "preprocessing_num_workers"}})};
  }
};

template <>
struct Describe<Optimizer> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("type", &Optimizer::type, "The update rule.", {.hints = {"name", "optimizer"}}),
        field("lr", &Optimizer::lr, "The learning rate after the warm-up.",
              {.above = 0, .hints = {"learning_rate", "max_lr"}}),
        field(
            "betas", &Optimizer::betas, "AdamW: the decay of the two moments.",
            {.min = 0, .below = 1, .count = 2, .hints = {"beta", "adam_betas", "adam_beta1", "adam_beta2"}}),
        field("eps", &Optimizer::eps, "AdamW: added to the root of the second moment.",
              {.above = 0, .hints = {"epsilon", "adam_epsilon"}}),
        field("weight_decay", &Optimizer::weight_decay,
              "Decoupled weight decay, of all parameters but those that `no_decay` names.",
              {.min = 0, .hints = {"wd"}}),
        field("no_decay", &Optimizer::no_decay, "Which parameters have no weight decay.",
              {.hints = {"exclude_from_weight_decay", "no_weight_decay", "no_decay_params"}}),
        field("momentum", &Optimizer::momentum, "SGD: the decay of the velocity.", {.min = 0, .below = 1}),
        field("grad_clip", &Optimizer::grad_clip, "The largest norm of all gradients together; 0: no limit.",
              {.min = 0, .hints = {"max_grad_norm", "clip_grad", "gradient_clipping", "max_norm", "clip"}}),
        field("max_bad_steps", &Optimizer::max_bad_steps,
              "How many steps in a row may have a loss or gradients that are not finite. No rank learns from "
              "such a "
              "step; one more ends the run, with its state saved as the last good step left it.",
              {.min = 0, .hints = {"max_nan_steps", "nan_patience"}}),
        field(
            "spike_zscore", &Optimizer::spike_zscore,
            "From how many standard deviations above the mean a loss is a spike, which is said and counted: "
            "when it is above mean + spike_zscore * sd, with sd = sqrt(mean((loss - mean)^2)), both over the "
            "last 100 finite losses until two steps before, once there are 20. 0: none is.",
            {.min = 0, .hints = {"loss_spike_zscore", "zscore", "spike_threshold"}}),
        field("skip_spikes", &Optimizer::skip_spikes,
              "Whether no rank learns from a step whose loss is a spike.", {.hints = {"skip_loss_spikes"}})};
  }
};

template <>
struct Describe<LrSchedule> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("type", &LrSchedule::type, "The shape of the learning rate after the warm-up.",
              {.hints = {"name", "lr_scheduler_type", "lr_decay_style"}}),
        field(
            "warmup_steps", &LrSchedule::warmup_steps,
            "Steps in which the learning rate rises from 0 in a line: step s, counted from 0, has "
            "`optimizer.lr` * s / warmup_steps, so the first step's is 0, as in Hugging Face's schedules.",
            {.min = 0,
             .hints = {"warmup", "num_warmup_steps", "lr_warmup_steps", "warmup_iters", "lr_warmup_iters"}}),
        field(
            "min_lr_ratio", &LrSchedule::min_lr_ratio,
            "Where the learning rate falls to, as a share r of `optimizer.lr`: step s has `optimizer.lr` * "
            "(r + (1 - r) * left), where done = (s - warmup_steps) / (steps - warmup_steps) and left = 1 - "
            "done (`linear`) or (1 + cos(pi * done)) / 2 (`cosine`). The last step is s = steps - 1, so that "
            "r itself is never quite reached, as in Hugging Face's schedules.",
            {.min = 0, .max = 1, .hints = {"min_lr", "final_lr_ratio"}})};
  }
};

template <>
struct Describe<Eval> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("every", &Eval::every, "Steps between measurements; 0: only at the end.",
              {.min = 0,
               .hints = {"interval", "eval_steps", "eval_interval", "eval_strategy", "evaluation_strategy"}}),
        field("max_samples", &Eval::max_samples, "The most samples that a measurement takes.",
              {.min = 1, .hints = {"num_samples", "limit", "max_eval_samples"}}),
        field("hold_out", &Eval::hold_out,
              "What is held out of `data.train` and measured on, too: a share of the samples, or how many, "
              "from 1 on. "
              "Which ones depends on what they say alone.",
              {.min = 0, .max = 1e6, .hints = {"fraction", "split"}}),
        field(
            "generate", &Eval::generate,
            "How many of the samples that a measurement takes, the first ones, are answered, too, greedily: "
            "answers.jsonl in the run folder has what was said. Each token costs a forward pass over them.",
            {.min = 0, .hints = {"predict_with_generate", "num_answers", "answers"}}),
        field("generate_tokens", &Eval::generate_tokens, "The most tokens of such an answer.",
              {.min = 1, .hints = {"max_new_tokens", "max_tokens", "generation_max_length"}})};
  }
};

template <>
struct Describe<Log> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("every", &Log::every,
              "Steps between lines, in log.txt and where stderr is no terminal; 0: as `every_seconds` says. "
              "metrics.jsonl has every step.",
              {.min = 0, .hints = {"every_steps"}}),
        field("every_seconds", &Log::every_seconds,
              "With `every: 0`: the least time between two steps' lines.", {.min = 0}),
        field("level", &Log::level,
              "What stderr is told (`--quiet`: warning). log.txt in the run folder has it all.",
              {.hints = {"verbosity", "log_level"}})};
  }
};

template <>
struct Describe<Stop> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("grace_seconds", &Stop::grace_seconds,
              "How long after a signal (SIGINT, SIGTERM, SIGHUP, SIGUSR1) the run is killed. A step that "
              "would take "
              "more than half of that is dropped, and the state is saved as the step before left it.",
              {.above = 0,
               .hints = {"grace", "grace_period"},
               .fallback = "as docs/launch.md says for each launcher; none where nobody kills"})};
  }
};

template <>
struct Describe<Deadlines> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("start", &Deadlines::start, "For all processes of the run to meet, MPI's own start included.",
              {.above = 0, .hints = {"startup", "init_timeout", "ddp_timeout"}}),
        field("step", &Deadlines::step,
              "Between processes: from the end of a step to the end of the next, with what lies between them "
              "(an evaluation, a checkpoint); 0: as long as it takes.",
              {.min = 0, .hints = {"step_timeout"}}),
        field("data", &Deadlines::data,
              "For one piece of a sample's files to be read: a disk that never answers ends the run, naming "
              "the file.",
              {.above = 0, .hints = {"loader", "data_timeout"}}),
        field(
            "collective", &Deadlines::collective,
            "For other ranks to join in an operation, or to send what is waited for. It must be longer than "
            "the slowest rank may be behind the fastest.",
            {.above = 0, .hints = {"timeout", "nccl_timeout", "operation"}})};
  }
};

template <>
struct Describe<Checkpoint> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("every", &Checkpoint::every,
              "Steps between checkpoints: the whole state, from which the run goes on as if nothing had "
              "happened, in this layout or another. 0: none but those of `every_minutes` and of a run that "
              "is stopped.",
              {.min = 0,
               .hints = {"save_steps", "save_interval", "save_every", "save_freq", "interval",
                         "checkpoint_interval", "checkpointing_steps"}}),
        field("every_minutes", &Checkpoint::every_minutes,
              "Minutes between checkpoints, by rank 0's clock, at the end of a step; 0: not by time.",
              {.min = 0}),
        field("keep", &Checkpoint::keep, "How many of the newest stay.",
              {.min = 1, .hints = {"save_total_limit", "keep_last", "max_to_keep", "keep_latest_k"}}),
        field("keep_every", &Checkpoint::keep_every,
              "Those of steps that are a multiple of this stay for good; 0: none of them.", {.min = 0}),
        field("async", &Checkpoint::async, "Whether training goes on while a copy of the state is written.",
              {.hints = {"async_save"}}),
        field("dir", &Checkpoint::dir, "The folder of the checkpoints, which all ranks see.",
              {.text = Text::output_path,
               .hints = {"path", "folder", "save_dir"},
               .fallback = "checkpoints in `run_dir`"}),
        field("on_error", &Checkpoint::on_error, "What happens when a checkpoint cannot be written.")};
  }
};

template <>
struct Describe<RunConfig> : NoGroups {
  static auto fields() {
    return std::tuple{
        field("model", &RunConfig::model, "The model: any number of encoders and an LLM.",
              {.required = true}),
        field("layout", &RunConfig::layout, "How modalities meet ranks.", {.hints = {"placement"}}),
        field("batch", &RunConfig::batch, "How many samples a step takes.", {.required = true}),
        field("data", &RunConfig::data, "What to train on.",
              {.required = true, .hints = {"dataset", "datasets"}}),
        field("optimizer", &RunConfig::optimizer, "How parameters are updated.", {.hints = {"optim"}}),
        field("lr_schedule", &RunConfig::lr_schedule, "How the learning rate changes over the run.",
              {.hints = {"scheduler", "lr_scheduler", "schedule"}}),
        field("eval", &RunConfig::eval, "When and how much is measured on `data.eval`.",
              {.hints = {"evaluation", "validation"}}),
        field("log", &RunConfig::log, "How much is said while a run goes.", {.hints = {"logging"}}),
        field("stop", &RunConfig::stop, "How a run ends early."),
        field("deadlines", &RunConfig::deadlines,
              "Seconds after which a run that waits in vain ends, naming the rank that it waits for.",
              {.hints = {"timeouts", "timeout"}}),
        field("checkpoint", &RunConfig::checkpoint, "When the state is saved, and where.",
              {.hints = {"checkpoints", "checkpointing", "save"}}),
        field("resume", &RunConfig::resume,
              "Whether the run goes on from the checkpoint that it finds (`--resume`: always)."),
        field("precision", &RunConfig::precision, "The type of parameters and activations.",
              {.hints = {"dtype", "torch_dtype"}}),
        field("sharding", &RunConfig::sharding,
              "What the replicas share between them instead of each keeping it.",
              {.hints = {"zero", "zero_stage", "fsdp", "sharding_strategy"}}),
        field("reduce_dtype", &RunConfig::reduce_dtype,
              "The type in which gradients travel between replicas, with `precision: bf16` or `fp8`; each "
              "replica's own add up in fp32.",
              {.hints = {"grad_reduce_dtype", "gradient_reduce_dtype", "grad_reduce_in_fp32",
                         "allreduce_dtype"}}),
        field("device", &RunConfig::device, "What computes."),
        field("cuda_graphs", &RunConfig::cuda_graphs,
              "Records the layers of a stage as CUDA graphs and replays them for every microbatch of the "
              "same shape. Faster where launching kernels takes longer than computing them, as in small "
              "microbatches; the recordings keep memory that nothing else can use. Applies to modalities "
              "with a tp and sp of 1 and without `lora.dropout`, to the LLM without `batch.packing` and with "
              "the causal mask only; with several replicas not to a step's last microbatch, under whose "
              "backward gradients are reduced.",
              {.hints = {"cuda_graph", "enable_cuda_graph", "use_cuda_graphs", "cudagraph"}}),
        field("deterministic", &RunConfig::deterministic,
              "Whether GPUs compute the same bits in every run of a config on machines that are alike, at "
              "the price of slower attention in backward and NCCL's sums round a ring (unless `NCCL_ALGO` "
              "says otherwise). Otherwise two runs differ in the last digits. CPUs always do.",
              {.hints = {"deterministic_mode", "full_determinism", "use_deterministic_algorithms"}}),
        field("seed", &RunConfig::seed,
              "Draws the weights and the order of the data; the same for every layout.",
              {.hints = {"random_seed", "data_seed"}}),
        field("steps", &RunConfig::steps, "Optimizer steps of the run.",
              {.required = true,
               .min = 1,
               .hints = {"max_steps", "num_steps", "total_steps", "iterations", "train_steps", "train_iters",
                         "max_iters", "num_iterations"}}),
        field("run_dir", &RunConfig::run_dir, "The folder for metrics, the plan and the trained model.",
              {.text = Text::output_path,
               .hints = {"output_dir", "out_dir", "save_dir", "log_dir", "logging_dir", "checkpoint_dir",
                         "dump_folder"}}),
        field("export_dtype", &RunConfig::export_dtype, "The type of the weights in `run_dir`/model.",
              {.hints = {"save_dtype", "output_dtype", "save_precision"}})};
  }
};

// --- What the fields are of
// --------------------------------------------------------------------------------------

template <typename T>
inline constexpr bool is_optional = false;
template <typename T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <typename T>
inline constexpr bool is_vector = false;
template <typename T>
inline constexpr bool is_vector<std::vector<T>> = true;

template <typename T>
concept Described = requires { Describe<T>::fields(); };
/// A struct that lives in a map under a key of the user's choice.
template <typename T>
concept Named = Described<T> && requires { Describe<T>::key(); };

/// What run_config.h declares; dump.cpp instantiates it for other rooms.
template <typename Enum>
const char* name_of(Enum value) {
  for (const auto& choice : Choices<Enum>::values) {
    if (choice.value == value) return choice.name;
  }
  return "";
}

/// Calls f(field) for each field of T.
template <Described T, typename F>
void for_each_field(F&& f) {
  std::apply([&](const auto&... each) { (f(each), ...); }, Describe<T>::fields());
}

// --- A member without a field does not compile
// -------------------------------------------------------------------

struct AnyMember {
  template <typename T>
  operator T&() const&;
  template <typename T>
  operator T&&() const&&;
};

template <typename T, typename... Members>
constexpr std::size_t member_count() {
  if constexpr (requires { T{Members{}..., AnyMember{}}; }) {
    return member_count<T, Members..., AnyMember>();
  } else {
    return sizeof...(Members);
  }
}

template <Described T>
constexpr bool describes_every_member() {
  const std::size_t fields = std::tuple_size_v<decltype(Describe<T>::fields())>;
  return fields + (Named<T> ? 1 : 0) == member_count<T>();
}

static_assert(describes_every_member<Parallel>());
static_assert(describes_every_member<Projector>());
static_assert(describes_every_member<EncoderTrain>());
static_assert(describes_every_member<PartOptimizer>());
static_assert(describes_every_member<EncoderOptimizer>());
static_assert(describes_every_member<Lora>());
static_assert(describes_every_member<Encoder>());
static_assert(describes_every_member<Llm>());
static_assert(describes_every_member<Model>());
static_assert(describes_every_member<Batch>());
static_assert(describes_every_member<Dataset>());
static_assert(describes_every_member<Data>());
static_assert(describes_every_member<Optimizer>());
static_assert(describes_every_member<LrSchedule>());
static_assert(describes_every_member<Eval>());
static_assert(describes_every_member<Log>());
static_assert(describes_every_member<Stop>());
static_assert(describes_every_member<Checkpoint>());
static_assert(describes_every_member<Deadlines>());
static_assert(describes_every_member<RunConfig>());

}  // namespace cornstarch::config
