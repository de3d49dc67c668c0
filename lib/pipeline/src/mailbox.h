#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <map>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/pipeline/executor.h"
#include "cornstarch/plan/activity.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::pipeline {

/// Moves activations and gradients over seams: which rows go to which rank, receives posted ahead, sends kept
/// until they have been taken. No metadata travels; shapes follow from the plan and what the microbatch
/// contains. Within a modality a rank talks to the one with its own place (cp, tp). Features go to every cp
/// rank of the LLM that takes some of them, gradients come back the same way; each stretch of rows that two
/// cp ranks exchange is cut by tp.
class Mailbox {
 public:
  Mailbox(const plan::Plan& plan, const catalog::Modalities& modalities, int rank, comm::CommunicatorPtr comm,
          at::TensorOptions tensors);

  /// A step begins: the instructions whose receives may be posted ahead.
  void start(const std::vector<plan::Instruction>& instructions, const plan::Activity& activity,
             const StepInputs& inputs);
  /// Posts the receives of the next few instructions behind `position`.
  void post_ahead(std::size_t position);
  /// The tensor of the receive instruction at `position`.
  at::Tensor take(std::size_t position);
  /// Zeros where there is no tensor.
  void send(const plan::Instruction& instruction, const at::Tensor& given);
  /// Waits until at most `ahead` messages of this rank have not been taken.
  void throttle(std::size_t ahead);
  void finish() { throttle(0); }

 private:
  struct Posted {
    at::Tensor buffer;
    std::vector<comm::WorkPtr> works;
  };
  /// Rows that this rank exchanges with cp rank `cp` of the other side.
  struct Stretch {
    int cp = 0;
    Range rows;
  };
  struct Message {
    int peer = 0;
    at::Tensor rows;
  };
  const plan::Part& own_part(int stage) const;
  const plan::FeatureRoute& route_of(const plan::Seam& seam, int microbatch) const;
  std::vector<std::int64_t> shape_of(const plan::Seam& seam, int microbatch, const plan::Part& own) const;
  std::vector<Stretch> stretches(const plan::Seam& seam, int microbatch, const plan::Part& own,
                                 std::int64_t rows) const;
  std::vector<Message> messages(const plan::Instruction& instruction, const plan::Part& own,
                                const at::Tensor& tensor) const;
  const plan::Part& own_end(const plan::Instruction& instruction) const;
  Posted post(const plan::Instruction& instruction) const;

  const plan::Plan& plan_;
  const catalog::Modalities& modalities_;
  const plan::RankPlan& me_;
  comm::CommunicatorPtr comm_;
  at::TensorOptions tensors_;
  const plan::Activity* activity_ = nullptr;
  const StepInputs* inputs_ = nullptr;
  std::vector<plan::Instruction> instructions_;
  std::size_t posted_until_ = 0;
  std::map<std::size_t, Posted> posted_;
  std::deque<std::vector<comm::WorkPtr>> sent_;
};

}  // namespace cornstarch::pipeline
