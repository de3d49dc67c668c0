#pragma once

#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::plan {

struct StagePlan;
struct Seam;

enum class Op {
  receive_forward,  ///< activations over `seam`
  forward,          ///< of `stage`
  send_forward,
  receive_backward,  ///< gradients over `seam`
  backward,
  send_backward,
  reduce_gradients,  ///< of `stage`: what is not reduced yet
};

struct Instruction {
  Op op = Op::forward;
  int stage = 0;
  int seam = -1;
  int microbatch = -1;
  bool operator==(const Instruction&) const = default;
};

/// What one rank does in a step. Every rank of a stage does the same, so there is one program for each stage,
/// or a single one (every stage) where one rank holds a whole replica.
struct Program {
  std::vector<int> stages;
  std::vector<Instruction> instructions;
  /// The stage whose gradients leave as they come, under its last backward; those of others wait for
  /// reduce_gradients. Replicas end with an encoder in different microbatches, and collectives must begin in
  /// the same order on all of them, so it is the program's last stage.
  int early_stage() const { return stages.back(); }
};

struct Schedule {
  std::vector<Program> programs;
  const Program& of_stage(int stage) const;
};

/// 1F1B over the graph of stages: LLM stage s warms up with S_llm - s - 1 forwards, an encoder's stage s with
/// S_enc + S_llm - s - 1; a stage without a backward runs forward only.
Schedule one_f_one_b(const std::vector<StagePlan>& stages, const std::vector<Seam>& seams,
                     int num_microbatches, bool single_program);

/// The forwards of a schedule with the messages that they need.
Schedule forward_only(const Schedule& schedule);

/// Plays the programs against each other: every message sent is received once and in order over a seam of the
/// instruction's stage, no rank waits for ever, every stage sees every microbatch (`backwards`: and goes back
/// where it has to). Says what is wrong, naming stage and microbatch.
Result<void> verify(const Schedule& schedule, const std::vector<StagePlan>& stages,
                    const std::vector<Seam>& seams, int num_microbatches, bool backwards = true);

/// The largest number of microbatches of `stage` whose backward is still to come at any time.
int peak_in_flight(const Schedule& schedule, int stage);

}  // namespace cornstarch::plan
