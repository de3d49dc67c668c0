#pragma once

#include <ATen/core/Tensor.h>

#include <c10/core/Event.h>

#include <array>
#include <csignal>
#include <iterator>
#include <optional>
#include <vector>

#include "cornstarch/comm/communicator.h"

namespace cornstarch::train {

/// A report's sums on their way to the host.
struct Sums {
  at::Tensor values;  ///< [n] fp64 on the device; the first four are those of the report's first members
  at::Tensor host;    ///< the same, once they have
  std::optional<c10::Event> arrived;  ///< where the device is not the host
};

/// What a rank of a stage adds to the means over that stage.
struct Times {
  double ranks = 0, compute = 0, bubble = 0, communication = 0, peak_memory = 0;
};

/// Which signal ends a run that ranks were asked to stop by several: the first of these.
constexpr int kStopSignals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};

/// What every rank adds to at the end of a step, in one reduction.
struct Report {
  /// The signal that ends the run, or 0.
  int stop_signal() const;
  void add_stop(int signal);

  /// `fingerprint`: dataio::GlobalBatch::window.
  void set_window(std::int64_t fingerprint);
  /// Throws Failure unless all ranks have set the same.
  void require_one_window(int ranks) const;

  double loss = 0, targets = 0, squared_norm = 0, tokens = 0, token_pairs = 0, visible_pairs = 0;
  double items = 0;           ///< floating-point operations of media items
  double answers = 0;         ///< evaluation: samples with targets,
  double correct = 0;         ///< and those that greedy decoding would get right
  double dropped = 0;         ///< ranks that did not compute all of the step
  double cut = 0;             ///< recordings that are longer than their encoder takes
  double cut_texts = 0;       ///< samples that are longer than a row
  double saved = 0;           ///< ranks whose part of the checkpoint under way is written,
  double unsaved = 0;         ///< or could not be
  double window = 0;          ///< what ranks must agree on of the samples that they have packed,
  double window_squared = 0;  ///< and its square
  double save_due = 0;        ///< rank 0's clock says that it is time for one
  std::array<double, std::size(kStopSignals)> stops{};  ///< ranks that each of them asked to stop
  std::vector<Times> previous;                          ///< per stage: of the step before
  std::vector<double> next_bad;  ///< samples of the next step that some rank could not read
  std::vector<double> told;      ///< answering: of each row of the global batch what its replica knows

  /// Begins the sum over `world`; `loss` and `squared_norm`, scalars of the device, take part where they are.
  /// Nothing here waits for a GPU.
  Sums start(comm::Group& world, at::Device device, const at::Tensor& sum_of_losses = {},
             const at::Tensor& own_squared_norm = {});
  /// Waits for the sums, not for what the device does behind them, and takes them over.
  void read(const Sums& sums);

 private:
  std::vector<double*> fields();
};

}  // namespace cornstarch::train
