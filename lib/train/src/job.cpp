#include "job.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/isfinite.h>

#include "cornstarch/base/console.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/dataio/run_data.h"
#include "cornstarch/telemetry/progress.h"
#include "data.h"

namespace cornstarch::train {

namespace fs = std::filesystem;

config::Loaded load(const std::string& config_text) {
  Diagnostics diagnostics;
  auto loaded = config::load_text(config_text, "the resolved config", fs::current_path(), {}, diagnostics);
  if (!loaded || diagnostics.has_errors()) throw Failure(ExitCode::usage, render_text(diagnostics));
  log::set_level(loaded->config.log.level);
  return std::move(*loaded);
}

Job prepare(const config::Loaded& loaded, int world_size, int local_size, const RunOptions& options,
            const std::string& launcher) {
  Diagnostics diagnostics;
  auto modalities = catalog::resolve(loaded, diagnostics);
  if (!modalities) throw Failure(ExitCode::usage, render_text(diagnostics));
  auto plan = value_or_throw(plan::make_plan(loaded.config, *modalities, world_size, local_size));
  Job job{loaded.config, std::move(*modalities), std::move(plan), nullptr, nullptr, {}, options, launcher};
  job.train_data = open_data(job.config, dataio::training_data(job.config, job.modalities));
  if (config::measures(job.config))
    job.eval_data = open_data(job.config, dataio::held_out_data(job.config, job.modalities));
  job.companions = companions_of(job.config, job.modalities, *job.train_data);
  return job;
}

void write_model(const Job& job, Trainer& trainer, const fs::path& folder) {
  const telemetry::Progress writing("writing the model");
  for (std::size_t m = 0; m < job.modalities.size(); ++m) {
    auto tensors = gather_weights(job.config, trainer, static_cast<int>(m));
    if (!tensors) continue;
    for (const models::NamedTensor& t : *tensors)
      if (!at::isfinite(t.value).all().item<bool>())
        throw Failure(
            ExitCode::numerics,
            cat("the model is not written: ", job.modalities[m].name, "/", t.name, " is not finite"),
            "lower optimizer.lr, or add warm-up");
    write_weights(folder / job.modalities[m].name, job.config, job.modalities[m], job.companions[m],
                  std::move(*tensors), trainer);
  }
}

int report(const Error& error) {
  const std::string help =
      error.help.empty() ? "" : cat("\n  help: ", join(split(error.help, '\n'), "\n        "));
  console().say(harmless(cat("error: ", error.message, help)), log::Level::error);
  return static_cast<int>(error.code);
}

}  // namespace cornstarch::train
