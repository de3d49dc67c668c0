#include "rules.h"

#include <cmath>

#include "cornstarch/base/text.h"
#include "fields.h"

namespace cornstarch::config {
namespace {

void check_parallel(const std::optional<Parallel>& parallel, const std::string& path, const SourceMap& where,
                    Report& report) {
  if (!parallel) return;
  if (parallel->sp > 1 && !where.has(path + ".mode")) {
    report.error("missing_key",
                 cat("'", path, ".sp' is ", parallel->sp, ", so '", path, ".mode' must be given"),
                 where.place(path + ".sp"), "mode: all_to_all, ring_attn or ring");
  }
  if (parallel->sp == 1 && parallel->distribution != Distribution::makespan) {
    report.warning("no_effect", cat("'", path, ".distribution' has no effect with an sp of 1"),
                   where.place(path + ".distribution"));
  }
  if (parallel->tp == 1 && parallel->tp_sequence_parallel) {
    report.warning("no_effect", cat("'", path, ".tp_sequence_parallel' has no effect with a tp of 1"),
                   where.place(path + ".tp_sequence_parallel"));
  }
}

void check_cuda_graphs(const RunConfig& config, const SourceMap& where, Report& report) {
  if (!config.cuda_graphs) return;
  const auto none = [&](const char* why) {
    report.warning("no_effect", cat("'cuda_graphs' has no effect with ", why), where.place("cuda_graphs"));
  };
  if (config.device == Device::cpu) none("'device: cpu'");
  if (rounds_to_fp8(config.precision)) none("'precision: fp8', whose steps are not all launched alike");
  if (config.sharding == Sharding::zero3) none("'sharding: zero3', whose parameters move");
}

}  // namespace

void check_rules(const Loaded& loaded, Report& report) {
  const RunConfig& config = loaded.config;
  const SourceMap& where = loaded.where;
  for (const Encoder& encoder : config.model.encoders) {
    const std::string path = cat("model.encoders.", encoder.name, ".parallel");
    check_parallel(encoder.parallel, path, where, report);
    if (encoder.parallel && encoder.parallel->sp > 1 && where.has(path + ".distribution")) {
      report.warning("no_effect",
                     cat("'", path, ".distribution' has no effect: an encoder's tokens are split evenly"),
                     where.place(path + ".distribution"));
    }
  }
  check_parallel(config.model.llm.parallel, "model.llm.parallel", where, report);
  check_cuda_graphs(config, where, report);

  if (config.reduce_dtype == ReduceDtype::bf16 && !has_masters(config.precision)) {
    report.warning(
        "no_effect",
        cat("'reduce_dtype: bf16' has no effect with 'precision: ", name_of(config.precision), "'"),
        where.place("reduce_dtype"));
  }
  if (config.model.encoders.empty() && config.model.llm.attention_mask != AttentionMask::causal) {
    report.warning("no_effect",
                   cat("without encoders 'model.llm.attention_mask: ",
                       name_of(config.model.llm.attention_mask), "' is causal"),
                   where.place("model.llm.attention_mask"));
  }
  if (config.optimizer.type == OptimizerType::adamw && config.optimizer.momentum != 0) {
    report.warning("no_effect", "'optimizer.momentum' has no effect with adamw",
                   where.place("optimizer.momentum"), "adamw has 'betas'; or set 'optimizer.type' to sgd");
  }
  if (config.optimizer.skip_spikes && config.optimizer.spike_zscore == 0) {
    report.warning("no_effect", "'optimizer.skip_spikes' has no effect without 'optimizer.spike_zscore'",
                   where.place("optimizer.skip_spikes"));
  }
  if (config.steps > 0 && config.lr_schedule.warmup_steps >= config.steps) {
    report.warning("no_effect",
                   cat("'lr_schedule.warmup_steps' (", config.lr_schedule.warmup_steps,
                       ") leaves none of the run's steps (", config.steps, ") at the full learning rate"),
                   where.place("lr_schedule.warmup_steps"));
  }
  if (config.eval.every > 0 && !measures(config)) {
    report.warning("no_effect", "'eval.every' has no effect without 'data.eval' or 'eval.hold_out'",
                   where.place("eval.every"));
  }
  if (config.eval.generate > 0 && !measures(config)) {
    report.warning("no_effect", "'eval.generate' has no effect without 'data.eval' or 'eval.hold_out'",
                   where.place("eval.generate"));
  }
  if (config.eval.hold_out > 1 && config.eval.hold_out != std::floor(config.eval.hold_out)) {
    report.error("out_of_range", cat("'eval.hold_out' is ", config.eval.hold_out),
                 where.place("eval.hold_out"), "a share below 1, or a whole number of samples");
  }
}

}  // namespace cornstarch::config
