#include "cornstarch/train/run.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <optional>

#include "cornstarch/base/console.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/mpi.h"
#include "cornstarch/comm/nccl.h"
#include "cornstarch/config/load.h"
#include "cornstarch/launch/environment.h"
#include "cornstarch/launch/stop.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/telemetry/display.h"
#include "cornstarch/train/trainer.h"
#include "data.h"
#include "device.h"
#include "memory.h"
#include "run_folder.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;

/// Everything that is the same on every rank of this process.
struct Job {
  config::RunConfig config;
  catalog::Modalities modalities;
  plan::Plan plan;
  std::unique_ptr<dataio::ConversationDataset> train_data, eval_data;
  RunOptions options;
};

config::Loaded load(const std::string& config_text) {
  Diagnostics diagnostics;
  auto loaded = config::load_text(config_text, "the resolved config", fs::current_path(), {}, diagnostics);
  if (!loaded || diagnostics.has_errors()) throw Failure(ExitCode::usage, render_text(diagnostics));
  log::set_level(loaded->config.log.level);
  return std::move(*loaded);
}

Job prepare(const config::Loaded& loaded, int world_size, int local_size, const RunOptions& options) {
  Diagnostics diagnostics;
  auto modalities = catalog::resolve(loaded, diagnostics);
  if (!modalities) throw Failure(ExitCode::usage, render_text(diagnostics));
  auto plan = value_or_throw(plan::make_plan(loaded.config, *modalities, world_size, local_size));
  Job job{loaded.config, std::move(*modalities), std::move(plan), nullptr, nullptr, options};
  job.train_data = open_data(job.config, job.modalities, job.config.data.train);
  if (!job.config.data.eval.empty())
    job.eval_data = open_data(job.config, job.modalities, job.config.data.eval);
  return job;
}

void write_model(const Job& job, Trainer& trainer) {
  for (std::size_t m = 0; m < job.modalities.size(); ++m) {
    const auto tensors = trainer.gather(static_cast<int>(m));
    if (!tensors) continue;
    const fs::path folder = fs::path(job.config.run_dir) / "model" / job.modalities[m].name;
    fs::create_directories(folder);
    models::save_pretrained(folder, job.modalities[m], *tensors);
  }
}

/// One rank's whole life; returns the exit code.
int train_rank(const Job& job, const comm::CommunicatorPtr& comm, at::Device device) {
  std::optional<RunFolder> folder;
  std::optional<telemetry::Display> display;
  if (comm->rank() == 0) {
    folder =
        value_or_throw(RunFolder::create(job.config.run_dir, job.options.overwrite, config::dump(job.config),
                                         plan::to_json(job.plan, job.modalities)));
    value_or_throw(console().keep_log(fs::path(job.config.run_dir) / "log.txt"));
    console().say(plan::to_table(job.plan, job.modalities));
    display.emplace(job.config.steps,
                    telemetry::LinePace{job.config.log.every, job.config.log.every_seconds});
  }
  Observer observer;
  observer.on_step = [&](const telemetry::StepRecord& record) {
    if (!folder) return;
    value_or_throw(folder->metrics().write(record));
    display->step(record);
  };
  observer.on_eval = [&](const telemetry::EvalRecord& record) {
    if (!folder) return;
    value_or_throw(folder->metrics().write(record));
    display->eval(record);
  };
  require_memory(held_bytes(job.config, job.modalities, job.plan, comm->rank()), device, comm->rank());
  Setup setup{job.config, job.modalities, job.plan, comm, *job.train_data, job.eval_data.get()};
  setup.traced_steps = job.options.traced_steps;
  setup.device = device;
  setup.report_lag = device.is_cuda() ? 1 : 0;
  setup.peak_flops = peak_flops(device, job.config.precision);
  Trainer trainer(setup, observer);
  const int signal = trainer.run();
  if (job.options.traced_steps) trainer.write_trace(fs::path(job.config.run_dir) / "trace.json");
  write_model(job, trainer);
  if (display) {
    display->finish();
    if (signal != 0) display->line(cat("stopped by signal ", signal, " after the step under way"));
    display->line(cat("run folder: ", job.config.run_dir));
  }
  return signal == 0 ? 0 : static_cast<int>(ExitCode::signal_base) + signal;
}

/// Memory that is not there is nobody's bug.
int train_rank_in_memory(const Job& job, const comm::CommunicatorPtr& comm, at::Device device) {
  try {
    return train_rank(job, comm, device);
  } catch (const c10::OutOfMemoryError& e) {
    throw Failure(ExitCode::device, e.what_without_backtrace(),
                  "lower batch.microbatch_size, let backward compute again (activation_checkpointing), deal "
                  "the state over "
                  "replicas (sharding), or do without cuda_graphs");
  }
}

int report(const Error& error) {
  const std::string help = error.help.empty() ? "" : cat("\n  help: ", error.help);
  console().say(cat("error: ", error.message, help), log::Level::error);
  return static_cast<int>(error.code);
}

int train_threads(const std::string& config_text, const RunOptions& options) {
  const Job job = prepare(load(config_text), options.local_ranks, options.local_ranks, options);
  int code = 0;
  comm::run_threads(options.local_ranks, {}, [&](const comm::CommunicatorPtr& comm) {
    const int own = train_rank_in_memory(job, comm, at::kCPU);
    if (comm->rank() == 0) code = own;
  });
  return code;
}

comm::CommunicatorPtr connect(config::Device device, const launch::LaunchContext& launch) {
  if (launch.world_size == 1) return comm::alone();
  if (device == config::Device::cpu)
    return value_or_throw(comm::connect_mpi(launch.rank, launch.world_size, {}));
  return value_or_throw(comm::connect_nccl(launch, value_or_throw(launch::rendezvous(launch)), {}));
}

/// A process of several: whatever ends it early is told to the others before it exits.
int train_process(const std::string& config_text, const RunOptions& options,
                  const launch::LaunchContext& launch) {
  const config::Loaded loaded = load(config_text);
  const comm::CommunicatorPtr comm = connect(loaded.config.device, launch);
  try {
    const at::Device device = open_device(loaded.config.device, launch);
    const Job job = prepare(loaded, launch.world_size, launch.local_size, options);
    return train_rank_in_memory(job, comm, device);
  } catch (const Failure& failure) {
    if (launch.world_size == 1) throw;
    comm->abort(failure.error());
    return static_cast<int>(failure.error().code);
  } catch (const std::exception& e) {
    if (launch.world_size == 1) throw;
    comm->abort(e.what());
    return static_cast<int>(ExitCode::internal);
  }
}

}  // namespace

int run(const std::string& config_text, const RunOptions& options) {
  launch::install_stop_handlers();
  try {
    if (options.local_ranks > 0) return train_threads(config_text, options);
    const auto launch = value_or_throw(launch::detect());
    log::set_rank(launch.rank);
    if (launch.rank == 0)
      for (const std::string& warning : launch.warnings) log::warning(warning);
    return train_process(config_text, options, launch);
  } catch (const Failure& failure) {
    return report(failure.error());
  } catch (const std::exception& e) {
    return report({ExitCode::internal, e.what(), "this is a bug: please report it with the config"});
  }
}

}  // namespace cornstarch::train
