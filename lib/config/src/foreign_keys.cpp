#include "foreign_keys.h"

#include <map>
#include <vector>

namespace cornstarch::config {
namespace {

struct Foreign {
  std::vector<std::string> words;
  std::string help;
};

/// By Hugging Face's Trainer, LLaMA-Factory, axolotl, LLaVA, torchtitan, Megatron and DeepSpeed.
const std::vector<Foreign>& foreign_keys() {
  static const std::vector<Foreign> keys = {
      {{"num_train_epochs", "num_epochs", "n_epochs", "max_epochs", "epochs", "epoch"},
       "a run is counted in steps: 'steps' is epochs x samples / samples of a step"},
      {{"save_strategy", "saves_per_epoch"}, "steps between checkpoints are 'checkpoint.every'"},
      {{"save_only_model"},
       "the model is written when the run ends, the whole state every 'checkpoint.every' steps"},
      {{"resume_from_checkpoint", "auto_resume_from_checkpoints", "load_checkpoint_path"},
       "'resume: auto', or --resume, goes on from the newest checkpoint of the run"},
      {{"logging_steps", "logging_strategy", "logging_first_step", "log_interval", "log_every", "log_freq",
        "log_steps", "steps_per_print", "print_freq"},
       "every step is a line of metrics.jsonl in 'run_dir'; 'log.every' is for what is said"},
      {{"report_to", "wandb", "wandb_project", "wandb_run_id", "use_wandb", "enable_wandb", "tensorboard",
        "enable_tensorboard", "mlflow"},
       "there is nothing like it: metrics.jsonl in 'run_dir' has a line of JSON for every step"},
      {{"run_name", "experiment_name", "job_name"}, "a run goes by its folder, 'run_dir'"},
      {{"overwrite_output_dir"}, "give --overwrite on the command line"},
      {{"warmup_ratio", "lr_warmup_fraction", "warmup_fraction"},
       "write the number of steps: 'lr_schedule.warmup_steps' is the ratio x 'steps'"},
      {{"bf16", "bfloat16", "mixed_precision", "torch_amp"}, "write precision: bf16"},
      {{"fp8", "float8", "fp8_format", "fp8_recipe"}, "write precision: fp8"},
      {{"fp16", "float16", "half"}, "there is no fp16: precision: bf16 is as small"},
      {{"lora_enable", "use_lora", "finetuning_type", "qlora"},
       "write lora: {rank: 8, alpha: 16, targets: [q_proj, v_proj]} in an encoder or the LLM"},
      {{"load_in_4bit", "load_in_8bit", "quantization", "quantization_bit", "bits"},
       "weights are not quantised: 'precision' is their type"},
      {{"deepspeed", "fsdp_config", "zero_optimization", "use_distributed_optimizer",
        "data_parallel_shard_degree"},
       "'sharding' says what the replicas share: none, zero1 or zero3"},
      {{"pp", "pp_size", "pipeline_parallel_size", "pipeline_model_parallel_size",
        "pipeline_parallel_degree"},
       "a modality has as many pipeline stages as 'parallel.stages' has lists"},
      {{"dp", "dp_size", "data_parallel_size", "data_parallel_degree", "data_parallel_replicate_degree",
        "num_replicas"},
       "there are as many replicas as ranks / ranks of one replica: start more ranks"},
      {{"world_size", "num_gpus", "n_gpus", "nnodes", "num_nodes", "nproc_per_node", "gpus"},
       "what starts the ranks says how many there are: mpirun -n, srun -n or --local-ranks"},
      {{"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "vocab_size", "num_layers", "image_size", "patch_size", "num_mel_bins", "d_model"},
       "what a Hugging Face config.json says belongs under 'config' of an encoder or the LLM"},
      {{"val_size", "test_size", "eval_split", "validation_split", "val_set_size"},
       "'eval.hold_out' holds a share of 'data.train' out; held-out samples of their own stand under "
       "'data.eval'"},
      {{"per_device_eval_batch_size", "eval_batch_size"},
       "measurements take 'batch.microbatch_size' samples, too"},
      {{"freeze_vision_tower", "freeze_backbone", "freeze_encoder", "freeze_multi_modal_projector",
        "freeze_mm_mlp_adapter", "tune_mm_mlp_adapter", "freeze_language_model", "freeze_llm",
        "freeze_aligner", "freeze_vit"},
       "write train: {encoder: false, projector: true} in an encoder, train: false in the LLM; "
       "'train_except' freezes single layers"},
      {{"mm_projector_lr", "vision_tower_lr", "mm_vision_tower_lr", "projector_lr", "aligner_lr", "vit_lr",
        "vision_lr"},
       "write optimizer: {encoder: {lr: ...}, projector: {lr: ...}} in an encoder, optimizer: {lr: ...} "
       "in the LLM"},
      {{"training", "trainer", "training_args", "training_arguments"},
       "'steps', 'seed' and 'precision' stand at the top; the rest is under 'batch', 'optimizer' and "
       "'lr_schedule'"},
  };
  return keys;
}

}  // namespace

std::string foreign_key_help(const std::string& word) {
  static const std::map<std::string, std::string> by_word = [] {
    std::map<std::string, std::string> out;
    for (const Foreign& key : foreign_keys())
      for (const std::string& each : key.words) out.emplace(each, key.help);
    return out;
  }();
  const auto found = by_word.find(word);
  return found == by_word.end() ? std::string() : found->second;
}

}  // namespace cornstarch::config
