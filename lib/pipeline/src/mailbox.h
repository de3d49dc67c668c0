#pragma once

#include <ATen/core/Tensor.h>

#include <deque>
#include <map>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/plan/activity.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::pipeline {

/// Moves activations and gradients over seams: which rows go to which rank, receives posted ahead, sends kept
/// until they have been taken. No metadata travels; shapes follow from the plan and what the microbatch
/// contains.
class Mailbox {
 public:
  Mailbox(const plan::Plan& plan, const catalog::Modalities& modalities, int rank, comm::CommunicatorPtr comm,
          at::TensorOptions tensors);

  /// A step begins: the instructions whose receives may be posted ahead.
  void start(const std::vector<plan::Instruction>& instructions, const plan::Activity& activity);
  /// Posts the receives of the next few instructions behind `position`.
  void post_ahead(std::size_t position);
  /// The tensor of the receive instruction at `position`.
  at::Tensor take(std::size_t position);
  void send(const plan::Instruction& instruction, const at::Tensor& tensor);
  /// Waits until at most `ahead` messages of this rank have not been taken.
  void throttle(std::size_t ahead);
  void finish() { throttle(0); }

 private:
  struct Posted {
    at::Tensor buffer;
    std::vector<comm::WorkPtr> works;
  };
  const plan::ModalityPlan& modality_of(int stage) const;
  const plan::Part& own_part(int stage) const;
  std::vector<std::int64_t> shape_of(const plan::Seam& seam, int microbatch) const;
  Posted post(const plan::Instruction& instruction) const;
  std::string what(const plan::Instruction& instruction) const;

  const plan::Plan& plan_;
  const catalog::Modalities& modalities_;
  const plan::RankPlan& me_;
  comm::CommunicatorPtr comm_;
  at::TensorOptions tensors_;
  const plan::Activity* activity_ = nullptr;
  std::vector<plan::Instruction> instructions_;
  std::size_t posted_until_ = 0;
  std::map<std::size_t, Posted> posted_;
  std::deque<std::vector<comm::WorkPtr>> sent_;
};

}  // namespace cornstarch::pipeline
