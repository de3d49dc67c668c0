#pragma once

#include <array>

#include "cornstarch/config/run_config.h"

/// What a key with a choice may be, and the names that other programs have for it.
namespace cornstarch::config {

template <typename Enum>
struct Choice {
  const char* name;
  Enum value;
  const char* doc;
  std::array<const char*, 3> hints = {};  ///< what other trainers call it
};

template <typename Enum>
struct Choices;

template <>
struct Choices<SpMode> {
  static constexpr std::array values = {
      Choice<SpMode>{
          "all_to_all", SpMode::all_to_all, "swaps sequence shards for head shards (Ulysses)", {"ulysses"}},
      Choice<SpMode>{"ring_attn", SpMode::ring_attn, "gathers keys and values, a few heads at a time"},
      Choice<SpMode>{"ring", SpMode::ring, "passes keys and values around from rank to rank"}};
};
template <>
struct Choices<Distribution> {
  static constexpr std::array values = {
      Choice<Distribution>{"uniform", Distribution::uniform, "every rank has one stretch of the sequence"},
      Choice<Distribution>{"zigzag", Distribution::zigzag,
                           "rank i of n has stretches i and 2n - 1 - i of 2n: balanced for causal text"},
      Choice<Distribution>{
          "makespan", Distribution::makespan,
          "blocks of tokens, as large as evenness allows and of 128 at least, the heaviest "
          "first to the rank that has least to do; in a ring, whose ranks meet at each step, "
          "one block of each run of n to each rank"}};
};
template <>
struct Choices<AttentionMask> {
  static constexpr std::array values = {
      Choice<AttentionMask>{"causal", AttentionMask::causal, "a token sees what stands before it"},
      Choice<AttentionMask>{
          "image_bidirectional", AttentionMask::image_bidirectional,
          "causal, but the tokens of one item see each other both ways (Gemma 3, PaliGemma)"},
      Choice<AttentionMask>{
          "modality_isolated", AttentionMask::modality_isolated,
          "text is causal over everything, a modality's tokens see only their own, both ways"}};
};
template <>
struct Choices<Checkpointing> {
  static constexpr std::array values = {
      Choice<Checkpointing>{"none", Checkpointing::none, "everything that backward needs is kept"},
      Choice<Checkpointing>{"selective", Checkpointing::selective,
                            "what is cheap to compute again is not kept: no matrix product is done twice"},
      Choice<Checkpointing>{"full", Checkpointing::full,
                            "only the input of each layer is kept; the layer runs again in backward"}};
};
template <>
struct Choices<Layout> {
  static constexpr std::array values = {
      Choice<Layout>{"separate", Layout::separate, "every modality has its own ranks"},
      Choice<Layout>{"single", Layout::single, "every rank is a whole replica; `parallel` is ignored"}};
};
template <>
struct Choices<ProjectorType> {
  static constexpr std::array values = {
      Choice<ProjectorType>{"linear", ProjectorType::linear, "one linear layer"},
      Choice<ProjectorType>{"mlp", ProjectorType::mlp, "linear, activation, linear; as wide as the LLM"},
      Choice<ProjectorType>{"norm_linear", ProjectorType::norm_linear,
                            "an RMS norm and a linear layer without biases, as Gemma 3 has them"},
      Choice<ProjectorType>{"none", ProjectorType::none,
                            "nothing, where an encoder's own last module gives features as wide as the LLM"}};
};
template <>
struct Choices<FeatureSelect> {
  static constexpr std::array values = {
      Choice<FeatureSelect>{"full", FeatureSelect::full, "every row"},
      Choice<FeatureSelect>{"patch", FeatureSelect::patch, "without CLIP's class token"}};
};
template <>
struct Choices<ChatTemplate> {
  static constexpr std::array values = {
      Choice<ChatTemplate>{"plain", ChatTemplate::plain,
                           "question, newline, answer, the tokenizer's end token; for each pair of turns"},
      Choice<ChatTemplate>{
          "vicuna", ChatTemplate::vicuna, "USER: and ASSISTANT:, as LLaVA v1.5", {"vicuna_v1", "v1"}},
      Choice<ChatTemplate>{
          "llama2", ChatTemplate::llama2, "as Llama 2's chat models", {"llama_2", "llama-2"}},
      Choice<ChatTemplate>{
          "llama3", ChatTemplate::llama3, "as Llama 3's instruct models", {"llama_3", "llama-3"}},
      Choice<ChatTemplate>{"mistral", ChatTemplate::mistral, "as Mistral's first instruct models", {}},
      Choice<ChatTemplate>{"chatml",
                           ChatTemplate::chatml,
                           "im_start and im_end around each turn, as Qwen's models",
                           {"chat_ml"}},
      Choice<ChatTemplate>{"qwen2_vl",
                           ChatTemplate::qwen2_vl,
                           "chatml with Qwen2-VL's own system text, its tokens around pictures and films",
                           {"qwen2-vl", "qwen2.5-vl", "qwen2_5_vl"}},
      Choice<ChatTemplate>{"gemma",
                           ChatTemplate::gemma,
                           "as Gemma's models, pictures as Gemma 3 has them",
                           {"gemma2", "gemma3"}},
      Choice<ChatTemplate>{
          "checkpoint",
          ChatTemplate::checkpoint,
          "the one that stands beside the tokenizer: chat_template.jinja, chat_template.json, or "
          "chat_template in tokenizer_config.json",
          {"jinja", "tokenizer_default", "auto"}}};
};
template <>
struct Choices<TrainOn> {
  static constexpr std::array values = {
      Choice<TrainOn>{"answers", TrainOn::answers, "what the assistant says, and what ends it"},
      Choice<TrainOn>{
          "last_answer", TrainOn::last_answer, "the last answer of a conversation", {"last", "last_turn"}},
      Choice<TrainOn>{"all", TrainOn::all, "all text", {"everything", "inputs"}}};
};
template <>
struct Choices<Packing> {
  static constexpr std::array values = {
      Choice<Packing>{"none", Packing::none, "each has a row of its own, padded", {"false", "off"}},
      Choice<Packing>{"microbatch", Packing::microbatch,
                      "those of a microbatch lie one behind the other, without padding"},
      Choice<Packing>{
          "first_fit",
          Packing::first_fit,
          "so do those of a row, and the samples of a row are chosen so that rows are full and "
          "cost the same: `microbatch_size` and `global_size` count rows of `sequence_length` tokens",
          {"true", "on", "best_fit"}}};
};
template <>
struct Choices<OnLongSample> {
  static constexpr std::array values = {
      Choice<OnLongSample>{
          "cut",
          OnLongSample::cut,
          "its end is cut off and counted; it is bad where media stand there, or where nothing to "
          "learn would be left",
          {"truncate"}},
      Choice<OnLongSample>{"refuse", OnLongSample::refuse, "it is bad", {"fail", "error"}}};
};
template <>
struct Choices<OnBadSample> {
  static constexpr std::array values = {
      Choice<OnBadSample>{"fail", OnBadSample::fail, "the run ends, naming the sample"},
      Choice<OnBadSample>{
          "skip", OnBadSample::skip,
          "it is left out and counted, as long as there are not more than `max_bad_fraction`"}};
};
template <>
struct Choices<OptimizerType> {
  static constexpr std::array values = {
      Choice<OptimizerType>{"adamw",
                            OptimizerType::adamw,
                            "Adam with decoupled weight decay",
                            {"adam", "adamw_torch", "adamw_torch_fused"}},
      Choice<OptimizerType>{"sgd", OptimizerType::sgd, "gradient descent with momentum"}};
};
template <>
struct Choices<LrScheduleType> {
  static constexpr std::array values = {
      Choice<LrScheduleType>{"cosine", LrScheduleType::cosine, "falls along half a cosine"},
      Choice<LrScheduleType>{"linear", LrScheduleType::linear, "falls along a line"},
      Choice<LrScheduleType>{
          "constant", LrScheduleType::constant, "stays after the warm-up", {"constant_with_warmup"}}};
};
template <>
struct Choices<Precision> {
  static constexpr std::array values = {
      Choice<Precision>{"fp32", Precision::fp32, "single precision", {"float32", "float"}},
      Choice<Precision>{"fp64", Precision::fp64, "double, for checks", {"float64", "double"}},
      Choice<Precision>{
          "bf16",
          Precision::bf16,
          "bfloat16 parameters and activations; fp32 master weights, gradients and optimizer state",
          {"bfloat16", "bf16_mixed"}},
      Choice<Precision>{"bf16_pure", Precision::bf16_pure, "bfloat16 throughout, for comparisons"},
      Choice<Precision>{"fp8",
                        Precision::fp8,
                        "as bf16, with the products of blocks in 8 bits (e4m3) on GPUs of compute capability "
                        "8.9 and newer; CPUs only round as these do",
                        {"e4m3", "fp8_e4m3"}},
      Choice<Precision>{"fp8_in_fp64", Precision::fp8_in_fp64, "fp64 that rounds as fp8 does, for checks"}};
};
template <>
struct Choices<ExportDtype> {
  static constexpr std::array values = {
      Choice<ExportDtype>{"same", ExportDtype::same, "as it computed: bfloat16 after `precision: bf16`"},
      Choice<ExportDtype>{
          "fp32",
          ExportDtype::fp32,
          "single precision; of `precision: bf16` the master weights, for a run that goes on from there",
          {"float32", "float"}},
      Choice<ExportDtype>{"bf16", ExportDtype::bf16, "bfloat16", {"bfloat16"}},
      Choice<ExportDtype>{"fp16",
                          ExportDtype::fp16,
                          "half precision; a modality with a weight beyond its 65504 is written in fp32",
                          {"float16", "half"}}};
};
template <>
struct Choices<Device> {
  static constexpr std::array values = {
      Choice<Device>{"cpu", Device::cpu, "the processor; ranks are MPI processes"},
      Choice<Device>{"cuda", Device::cuda, "one GPU for each rank", {"gpu", "nvidia"}}};
};
template <>
struct Choices<Sharding> {
  static constexpr std::array values = {
      Choice<Sharding>{"none", Sharding::none, "every replica keeps everything"},
      Choice<Sharding>{"zero1",
                       Sharding::zero1,
                       "the optimizer's state is dealt over the replicas (ZeRO-1)",
                       {"zero_1", "distributed_optimizer"}},
      Choice<Sharding>{"zero3",
                       Sharding::zero3,
                       "parameters and gradients too (ZeRO-3, FSDP); modalities of one stage only",
                       {"zero_3", "fsdp", "full_shard"}}};
};

template <>
struct Choices<ReduceDtype> {
  static constexpr std::array values = {
      Choice<ReduceDtype>{"fp32", ReduceDtype::fp32, "as they add up", {"float32", "float"}},
      Choice<ReduceDtype>{"bf16", ReduceDtype::bf16, "rounded once, half the bytes", {"bfloat16"}}};
};
template <>
struct Choices<NoDecay> {
  static constexpr std::array values = {
      Choice<NoDecay>{"vectors", NoDecay::vectors,
                      "those of one dimension: biases, norms, and CLIP's class embedding"},
      Choice<NoDecay>{"norms_and_biases", NoDecay::norms_and_biases,
                      "biases and norms only, as Hugging Face's Trainer"},
      Choice<NoDecay>{"nothing", NoDecay::nothing, "all decay", {"none"}}};
};

template <>
struct Choices<OnSaveError> {
  static constexpr std::array values = {
      Choice<OnSaveError>{"warn", OnSaveError::warn, "training goes on, and the next one is tried"},
      Choice<OnSaveError>{"fail", OnSaveError::fail, "the run ends"}};
};
template <>
struct Choices<Resume> {
  static constexpr std::array values = {
      Choice<Resume>{"never", Resume::never, "the run begins at its first step"},
      Choice<Resume>{"auto", Resume::automatic,
                     "the run goes on from the newest whole checkpoint, if there is one"},
      Choice<Resume>{"always", Resume::always, "it goes on from there, and without one it is an error"}};
};

template <>
struct Choices<LogLevel> {
  static constexpr std::array values = {
      Choice<LogLevel>{"debug", LogLevel::debug, "everything"},
      Choice<LogLevel>{"info", LogLevel::info, "the plan, steps, measurements and what takes long"},
      Choice<LogLevel>{"warning", LogLevel::warning, "warnings and errors only", {"warn", "quiet"}},
      Choice<LogLevel>{"error", LogLevel::error, "errors only"}};
};

}  // namespace cornstarch::config
