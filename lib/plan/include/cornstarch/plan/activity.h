#pragma once

#include <vector>

#include "cornstarch/plan/plan.h"

namespace cornstarch::plan {

/// Which of a step's instructions have something to do in one replica. Both ends of every message derive it
/// from the same sample index, so a microbatch without pictures costs no message and hangs nobody.
class Activity {
 public:
  /// items[e][m]: media items of encoder e in microbatch m of the replica. `texts[m]`: whether it has any
  /// sample; none: each is computed, with samples or without.
  Activity(const Plan& plan, std::vector<std::vector<int>> items, std::vector<bool> texts = {});

  /// Media items of the modality in microbatch m.
  int items(int modality, int microbatch) const;
  bool forward(int stage, int microbatch) const;
  /// Whether something at or before `stage` trains on this microbatch.
  bool backward(int stage, int microbatch) const;
  bool carries_grad(const Seam& seam, int microbatch) const { return backward(seam.from, microbatch); }
  /// Whether an instruction of the schedule has anything to do.
  bool has_work(const Instruction& instruction) const;
  /// The microbatch whose backward of `stage` is the step's last, or -1 if it has none.
  int last_backward(int stage) const;

 private:
  bool is_llm(int stage) const;

  const Plan& plan_;
  std::vector<std::vector<int>> items_;
  std::vector<bool> texts_;
  std::vector<std::vector<bool>> backward_;  // [stage][microbatch]
};

}  // namespace cornstarch::plan
