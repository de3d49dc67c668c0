#include "cornstarch/base/console.h"
#include "cornstarch/base/error_of.h"
#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "job.h"

namespace cornstarch::train {
namespace {

void merge_adapters(config::RunConfig& config, const std::string& from) {
  bool any = false;
  const auto merge = [&](std::optional<config::Lora>& lora) {
    if (!lora) return;
    lora->merge = true;
    any = true;
  };
  for (config::Encoder& encoder : config.model.encoders) merge(encoder.lora);
  merge(config.model.llm.lora);
  if (!any)
    throw Failure(ExitCode::usage, cat("'", from, "' has no adapters"),
                  "without --merge, its model is written as it is");
}

/// One rank that holds the whole model on the CPU, whatever wrote the checkpoint.
void write_model_of(const checkpoint::Checkpoint& described, const ExportOptions& options) {
  config::Loaded loaded = load(described.manifest().config);
  loaded.config.layout = config::Layout::single;
  loaded.config.sharding = config::Sharding::none;
  loaded.config.device = config::Device::cpu;
  loaded.config.batch.global_size.reset();
  loaded.config.batch.num_microbatches = 1;
  if (options.merge) merge_adapters(loaded.config, options.from);
  const Job job = prepare(loaded, 1, 1, {}, "");
  Trainer trainer({job.config, job.modalities, job.plan, comm::alone(), *job.train_data}, {});
  auto from = value_or_throw(checkpoint::Checkpoint::open(options.from));
  trainer.restore(from);
  trainer.publish();
  write_model(job, trainer, options.to);
}

}  // namespace

int export_model(const ExportOptions& options) {
  try {
    const auto described = value_or_throw(checkpoint::Checkpoint::open(options.from));
    write_model_of(described, options);
    console().say(cat("the model of ", options.from, ": ", options.to));
    return 0;
  } catch (const std::exception& e) {
    return report(error_of(e));
  }
}

}  // namespace cornstarch::train
