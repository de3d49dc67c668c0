#pragma once

#include <c10/core/StreamGuard.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bad_samples.h"
#include "cornstarch/dataio/prefetch.h"
#include "cornstarch/optim/optimizer.h"
#include "cornstarch/train/batch.h"
#include "cornstarch/train/trainer.h"
#include "course.h"
#include "report.h"
#include "saver.h"
#include "tracer.h"

namespace cornstarch::train {

using Clock = std::chrono::steady_clock;

/// A step whose report is still to be read.
struct Issued {
  int step = 0;
  Clock::time_point begin;
  dataio::GlobalBatch global;
  std::vector<double> bad;  ///< of its samples
  std::int64_t skipped = 0;
  std::vector<bool> reached = {};
  double spike_above = 0;  ///< a loss
  Report report = {};
  Sums sums = {};
};

/// Questions that are being answered, by their place in a global batch.
struct Asking {
  RankBatch batch;  ///< `bad`: what cannot be answered; rows: with what was said so far
  std::vector<double> silent = {},
                      room = {};  ///< not 0 where nothing more is said; tokens that rows can take
  std::vector<HeldOutAnswer> answers = {};
};

/// One rank's training under way. Its purposes have a file each: trainer.cpp takes the steps,
/// trainer_data.cpp feeds them, trainer_records.cpp says what is known of them once their reports have been
/// read, trainer_guard.cpp looks for the cause of those that are not finite, trainer_saves.cpp keeps the
/// state that outlives the run, trainer_eval.cpp measures on held-out samples, trainer_answers.cpp answers
/// them.
struct Trainer::Impl {
  const config::RunConfig& config;
  const catalog::Modalities& modalities;
  const plan::Plan& plan;
  comm::CommunicatorPtr comm;
  const dataio::Dataset& train_data;
  const dataio::Dataset* eval_data;
  std::set<std::int64_t> answer_ends;
  Observer observer;
  at::ScalarType dtype;
  at::Device device;
  std::optional<double> peak_flops;
  int report_lag;
  bool cuda_graphs;
  c10::OptionalStreamGuard stream;
  std::int64_t rows_per_step;  ///< over all replicas
  std::function<dataio::GlobalBatch(const dataio::Position&)> order;
  Needs needs;
  comm::GroupPtr world;
  std::string version;
  std::optional<Tracer> tracer;
  Course course;      ///< as of the last step that is known to be updated everywhere
  Course started_at;  ///< of this run(): it goes on from there
  int steps_issued = 0;
  int saved_step = -1;  ///< that the newest checkpoint has behind it
  Clock::time_point saved_at = Clock::now();
  bool save_due = false;                      ///< by rank 0's clock, on all ranks alike
  std::deque<RankBatch> upcoming;             ///< from the next step on
  std::deque<Issued> issued;                  ///< steps whose report has not been read
  Clock::time_point begun;                    ///< what is under way,
  std::optional<Clock::duration> usual_time;  ///< and how long its like took
  std::optional<Clock::duration> step_time;   ///< of the last step that was recorded
  Ending ending;
  bool dropping = false;
  std::optional<Failure> given_up;     ///< after too many bad steps: once all reports are read
  BadSamples bad_samples;              ///< of those that it was trained on
  mutable std::atomic<int> named = 0;  ///< bad samples that this rank has named
  int searches = 0;                    ///< for a sample that makes a step bad
  int timed_from = 0;                  ///< the first step whose times the recorder has
  pipeline::Executor executor;
  optim::Optimizer optimizer;
  Saver saver;
  /// Wait at their end for what they read.
  std::optional<dataio::Prefetcher<RankBatch>> batches, held_out;

  Impl(const Setup& setup, Observer observer);

  // --- Steps (trainer.cpp)
  Ending run();
  Ending take_steps();
  void take_step(int step);
  /// What comes behind a step that was taken; returns whether the run has come to its end.
  bool pause_behind(int step);
  bool ended() const { return ending.signal != 0 || ending.dropped || given_up; }
  void begin(std::optional<Clock::duration> usual, int step, const char* phase);
  std::function<bool()> drops(const std::function<bool()>& given);
  bool outlasts_the_launcher();
  void issue(Issued out, const Step& inputs, const pipeline::StepSums& sums, bool more);
  void update(const Issued& step, const Step& inputs);
  bool conclude(int ahead);
  void take(Report& report, const Sums& sums) const;
  double learning_rate(int step) const;
  bool speaks_for_replica() const;

  // --- Data (trainer_data.cpp)
  void begin_reading();
  void check_window(const dataio::GlobalBatch& first) const;
  RankBatch read(const dataio::Dataset& data, dataio::GlobalBatch global) const;
  void agree_on_bad(RankBatch& batch);
  Step to_step(RankBatch batch, const dataio::Dataset& data, int step = 0) const;
  std::chrono::duration<double> data_deadline() const;
  void sum_up() const;

  // --- What is known of steps (trainer_records.cpp)
  void record(const Issued& step);
  void add_speed(telemetry::StepRecord& record, const Issued& step);
  void learnt_from(const Issued& step);
  double spike_above(int step) const;
  void judge(telemetry::StepRecord& record, const Issued& step);
  std::vector<Times> times_of(int step);
  std::vector<telemetry::StageTime> means(const std::vector<Times>& previous) const;

  // --- Steps that are not finite (trainer_guard.cpp)
  /// A sample because of which a step is not finite, and whether it is without that one.
  struct Culprit {
    std::string place;
    bool alone = false;
  };
  void leave_out(const telemetry::StepRecord& record, const Issued& step);
  std::optional<Culprit> find_culprit(const Issued& step);
  bool is_finite_with(dataio::GlobalBatch global, int step);
  std::string first_bad_gradient() const;

  // --- The state that outlives a run (trainer_saves.cpp)
  bool saves(int step) const;
  checkpoint::Manifest manifest() const;
  std::vector<StateTensor> state() const;
  void restore(checkpoint::Checkpoint& from);
  void publish();
  void begin_saving(bool waits);
  void say_saving(Report& report);
  bool is_due() const;
  void conclude_saving(const Report& report);
  void finish_saving();
  bool save();

  // --- Held-out samples (trainer_eval.cpp)
  bool evaluates(int step) const;
  bool stops();
  void read_held_out(std::int64_t count);
  telemetry::EvalRecord evaluate(std::int64_t step);
  void judge_held_out(const telemetry::EvalRecord& record) const;

  // --- Answers to them (trainer_answers.cpp)
  std::vector<HeldOutAnswer> answer_held_out(std::int64_t count);
  std::vector<std::int64_t> dealt(std::int64_t first, std::int64_t count) const;
  void cut_to_questions(RankBatch& batch) const;
  bool share_answers(std::vector<double>& bad, std::vector<double>& told);
  dataio::TextRow* row_of(Asking& asking, std::size_t sample) const;
  bool begin_answers(Asking& asking);
  bool add_tokens(Asking& asking);
  void hear(Asking& asking, std::size_t sample, std::int64_t id) const;
};

}  // namespace cornstarch::train
