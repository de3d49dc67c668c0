#include "cornstarch/train/run.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <optional>

#include "answered.h"
#include "connect.h"
#include "cornstarch/base/console.h"
#include "cornstarch/base/error_of.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "cornstarch/launch/environment.h"
#include "cornstarch/launch/stop.h"
#include "cornstarch/plan/plan.h"
#include "cornstarch/telemetry/display.h"
#include "cornstarch/telemetry/progress.h"
#include "cornstarch/train/trainer.h"
#include "data.h"
#include "device.h"
#include "end_tokens.h"
#include "job.h"
#include "memory.h"
#include "model_folder.h"
#include "resume.h"
#include "run_folder.h"
#include "versions.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;

/// Of a run that losses or gradients which are no numbers end, on all ranks in the same step: the state is
/// that of the last step that was one.
void save_before_the_end(Trainer& trainer, const Failure& failure) {
  if (failure.error().code != ExitCode::numerics || trainer.steps_done() == 0) return;
  try {
    trainer.save();
  } catch (const Failure& second) {
    log::warning(cat("the state is not saved: ", second.what()));
  }
}

/// Leaves a checkpoint where a signal was the end.
Ending train_to_the_end(Trainer& trainer) {
  Ending ending;
  try {
    ending = trainer.run();
  } catch (const Failure& failure) {
    save_before_the_end(trainer, failure);
    throw;
  }
  if (ending.signal != 0 && trainer.steps_done() > 0 && !trainer.save())
    throw Failure(ExitCode::io, cat("the state of step ", trainer.steps_done(), " could not be saved"));
  return ending;
}

/// What rank 0 writes and shows.
class Speaker {
 public:
  Speaker(const Job& job, const std::string& versions)
      : folder_(value_or_throw(open_folder(job, versions))),
        checkpoints_(value_or_throw(claim_checkpoints(config::checkpoint_folder(job.config)))),
        display_(job.config.steps, {job.config.log.every, job.config.log.every_seconds}) {
    value_or_throw(console().keep_log(fs::path(job.config.run_dir) / "log.txt"));
    console().say(plan::to_table(job.plan, job.modalities));
  }

  void tell(const telemetry::StepRecord& record) {
    keep(folder_.metrics().write(record), lost_lines_);
    display_.step(record);
  }
  void tell(const telemetry::EvalRecord& record) {
    keep(folder_.metrics().write(record), lost_lines_);
    display_.eval(record);
  }
  /// Of held-out samples, in words.
  void tell(std::int64_t step, const std::vector<HeldOutAnswer>& answers,
            const dataio::ConversationDataset& data) {
    for (const HeldOutAnswer& each : answers) {
      const auto question = data.question(each.sample);
      if (!question) continue;
      const std::string answer(trim(data.tokenizer().decode(each.ids, /*skip_special=*/true)));
      keep(folder_.add_answer(to_line(answered({{"step", step}, {"sample", data.place(each.sample)}},
                                               question->text, answer, each.cut_off, {question->answer}))),
           lost_answers_);
    }
  }

  void go_on_behind(std::int64_t step) {
    value_or_throw(folder_.go_on_behind(step));
    if (step > 0) console().say(cat("goes on behind step ", step));
  }

  void finish(const Ending& ending, int steps_done, const std::string& run_dir) {
    display_.finish();
    if (lost_lines_ > 0) log::warning(cat(lost_lines_, " lines of metrics.jsonl are lost"));
    if (lost_answers_ > 0) log::warning(cat(lost_answers_, " lines of answers.jsonl are lost"));
    if (const auto lost = console().lost_log_lines(); lost > 0)
      log::warning(cat(lost, " lines of log.txt are lost"));
    if (ending.signal != 0)
      console().say(cat("stopped by SIG", ::sigabbrev_np(ending.signal), " after step ", steps_done,
                        ending.dropped ? "; the step behind it was dropped" : "",
                        steps_done == 0 ? ": there is nothing to save" : "; --resume goes on from there"));
    console().say(cat("run folder: ", run_dir));
  }

 private:
  static Result<RunFolder> open_folder(const Job& job, const std::string& versions) {
    const config::RunConfig& config = job.config;
    const std::string yaml = config::dump(config), plan = plan::to_json(job.plan, job.modalities);
    const fs::path dir = config::checkpoint_folder(config);
    if (config.checkpoint.dir)
      if (const auto free = check_checkpoints_free(dir); !free) return tl::unexpected(free.error());
    if (!checkpoint::list(dir).empty()) {
      if (config.resume != config::Resume::never)
        return RunFolder::take_up(config.run_dir, yaml, plan, versions);
      if (config.checkpoint.dir)
        return fail(ExitCode::usage, cat("'", dir.string(), "' holds checkpoints of a run"),
                    "pass --resume to go on with it, or give checkpoint.dir another folder");
    }
    if (config.resume == config::Resume::always) return tl::unexpected(no_checkpoint(dir));
    return RunFolder::create(config.run_dir, job.options.overwrite, yaml, plan, versions);
  }

  /// A disk that is full for a while costs lines, not the run.
  static void keep(const Result<void>& written, int& lost) {
    if (written) return;
    if (lost++ == 0) log::warning(cat(written.error().message, "; training goes on without such lines"));
  }

  RunFolder folder_;
  std::optional<FolderClaim> checkpoints_;
  telemetry::Display display_;
  int lost_lines_ = 0, lost_answers_ = 0;
};

/// Warnings of processes other than rank 0's go to the log, too, once that is there.
void share_log(const Job& job, const comm::Communicator& comm) {
  const fs::path log = fs::path(job.config.run_dir) / "log.txt";
  const bool own_process = job.options.local_ranks == 0 && comm.rank() != 0;
  if (own_process && fs::exists(log)) static_cast<void>(console().keep_log(log));
}

fs::path failure_file(const Job& job) { return fs::path(job.config.run_dir) / "FAILURE.json"; }

std::function<void(const std::string&)> failure_writer(const Job& job) {
  return [file = failure_file(job)](const std::string& report) {
    if (const auto written = write_file_atomically(file, report); !written)
      log::warning(written.error().message);
  };
}

/// Who asked for a run to be stopped, as a scheduler does, learns that it can be started again; a person's
/// Ctrl-C is a signal like any other.
int exit_code(const Ending& ending, int steps_done) {
  if (ending.signal == 0) return 0;
  const bool again = ending.signal != SIGINT && steps_done > 0;
  return again ? static_cast<int>(ExitCode::preempted)
               : static_cast<int>(ExitCode::signal_base) + ending.signal;
}

/// Memory that is not there is nobody's bug.
Error explained(const std::exception& e) {
  if (const auto* memory = dynamic_cast<const c10::OutOfMemoryError*>(&e))
    return {
        ExitCode::device, memory->what_without_backtrace(),
        "lower batch.microbatch_size, let backward compute again (activation_checkpointing), deal the state "
        "over replicas (sharding), or do without cuda_graphs"};
  Error error = error_of(e);
  const auto* torch = dynamic_cast<const c10::Error*>(&e);
  if (torch != nullptr && error.code == ExitCode::internal) error.message = torch->what_without_backtrace();
  return error;
}

/// Who fails tells the others before its trainer is taken down, which waits for what is read and written
/// beside the steps.
Ending told_at_once(comm::Communicator& comm, const std::function<Ending()>& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    const Error error = explained(e);
    comm.abort(error);
    throw Failure(error);
  }
}

Setup setup_of(const Job& job, const comm::CommunicatorPtr& comm, at::Device device) {
  Setup setup{job.config, job.modalities, job.plan, comm, *job.train_data, job.eval_data.get()};
  setup.traced_steps = job.options.traced_steps;
  setup.device = device;
  setup.report_lag = device.is_cuda() ? 1 : 0;
  if (job.eval_data)
    setup.answer_ends =
        answer_ends(job.modalities.back(), job.eval_data->tokenizer(), job.eval_data->answer_end_id());
  require_precision(device, job.config.precision);
  setup.peak_flops = peak_flops(device, job.config.precision);
  for (const auto& [program, version] : job.options.versions)
    if (program == "cornstarch-train") setup.version = version;
  return setup;
}

/// One rank's whole life; returns the exit code.
int train_rank(const Job& job, const comm::CommunicatorPtr& comm, at::Device device) {
  std::optional<Speaker> speaker;
  if (comm->rank() == 0) {
    speaker.emplace(job, versions_json(job.options.versions, *comm, device, job.launcher));
    std::error_code ignored;
    fs::remove(failure_file(job), ignored);  // of an earlier attempt
    comm->on_failure(failure_writer(job));
    for (const auto* data : {job.train_data.get(), job.eval_data.get()}) {
      if (data == nullptr) continue;
      for (const std::string& warning : data->warnings()) log::warning(warning);
    }
  }
  std::int64_t learnt = 0, recorded = 0;  // tokens, steps; on every rank
  Observer observer;
  observer.on_step = [&](const telemetry::StepRecord& record) {
    learnt += record.target_tokens;
    ++recorded;
    if (speaker) return speaker->tell(record);
    if (recorded == 1) share_log(job, *comm);
    if (recorded == 1 && comm->rank() == 1) comm->on_failure(failure_writer(job));
  };
  observer.on_eval = [&](const telemetry::EvalRecord& record) {
    if (record.samples == 0)
      throw Failure(ExitCode::bad_data,
                    "nothing was measured: no held-out sample that was read has an answer",
                    "data.eval needs samples with an answer, and eval.max_samples must reach them");
    if (speaker) speaker->tell(record);
  };
  observer.on_answers = [&](std::int64_t step, const std::vector<HeldOutAnswer>& answers) {
    if (speaker) speaker->tell(step, answers, *job.eval_data);
  };
  require_memory(plan::held_bytes(job.config, job.modalities, job.plan, comm->rank()), device, comm->rank());
  Trainer trainer(setup_of(job, comm, device), observer);
  const Ending ending = told_at_once(*comm, [&] {
    if (speaker) checkpoint::abandon_all(config::checkpoint_folder(job.config));
    const std::int64_t behind =
        resume(job.config, job.modalities, *comm, device, job.train_data->size(), trainer);
    if (speaker) speaker->go_on_behind(behind);
    const Ending ended = train_to_the_end(trainer);
    if (ended.signal == 0 && behind == 0 && recorded > 0 && learnt == 0)
      throw Failure(ExitCode::bad_data, "nothing was learnt: no sample that was read has an answer",
                    "what is learnt are the turns from 'gpt' or 'assistant'");
    comm->at(0, "writing the model");
    if (ended.signal == 0) write_model(job, trainer, fs::path(job.config.run_dir) / "model");
    if (job.options.traced_steps) trainer.write_trace(fs::path(job.config.run_dir) / "trace.json");
    return ended;
  });
  if (speaker) speaker->finish(ending, trainer.steps_done(), job.config.run_dir);
  return exit_code(ending, trainer.steps_done());
}

int train_rank_in_memory(const Job& job, const comm::CommunicatorPtr& comm, at::Device device) {
  try {
    return train_rank(job, comm, device);
  } catch (const c10::Error& e) {
    throw Failure(explained(e));
  }
}

int train_threads(const config::Loaded& loaded, const RunOptions& options) {
  const Job job = prepare(loaded, options.local_ranks, options.local_ranks, options, "--local-ranks");
  int code = 0;
  comm::run_threads(options.local_ranks, deadline_of(job.config.deadlines),
                    [&](const comm::CommunicatorPtr& comm) {
                      const int own = train_rank_in_memory(job, comm, at::kCPU);
                      if (comm->rank() == 0) code = own;
                    });
  return code;
}

int train_process(const config::Loaded& loaded, const RunOptions& options,
                  const launch::LaunchContext& launch) {
  return as_process(loaded.config, launch, [&](const comm::CommunicatorPtr& comm) {
    const at::Device device = open_device(loaded.config.device, launch);
    const Job job = prepare(loaded, launch.world_size, launch.local_size, options, launch.source);
    return train_rank_in_memory(job, comm, device);
  });
}

}  // namespace

int run(const std::string& config_text, const RunOptions& options) {
  try {
    if (!options.said.empty()) console().note(options.said);
    const config::Loaded loaded = load(config_text);
    const auto detected = launch::detect();
    const auto launch = options.local_ranks > 0
                            ? detected.value_or(launch::LaunchContext{})  // of one process
                            : value_or_throw(detected);
    std::optional<launch::Milliseconds> grace;
    if (const auto seconds = loaded.config.stop.grace_seconds)
      grace = launch::Milliseconds(static_cast<std::int64_t>(1000 * *seconds));
    launch::hear_signals(launch, grace);
    if (options.local_ranks > 0) return train_threads(loaded, options);
    log::set_rank(launch.rank);
    if (loaded.config.deterministic && loaded.config.device == config::Device::cuda) want_the_same_bits();
    if (launch.rank == 0)
      for (const std::string& warning : launch.warnings) log::warning(warning);
    return train_process(loaded, options, launch);
  } catch (const std::exception& e) {
    return report(error_of(e));
  }
}

}  // namespace cornstarch::train
