#include "cornstarch/plan/activity.h"

namespace cornstarch::plan {

Activity::Activity(const Plan& plan, std::vector<std::vector<int>> items, std::vector<bool> texts)
    : plan_(plan), items_(std::move(items)), texts_(std::move(texts)), backward_(plan.stages.size()) {
  // Stages are numbered producers first, so every stage finds its producers' answers.
  for (std::size_t s = 0; s < plan.stages.size(); ++s) {
    for (int m = 0; m < plan.num_microbatches; ++m) {
      bool needed = plan.stages[s].trains;
      for (const Seam& seam : plan.seams)
        if (seam.to == static_cast<int>(s))
          needed = needed || backward_[static_cast<std::size_t>(seam.from)][static_cast<std::size_t>(m)];
      backward_[s].push_back(needed && forward(static_cast<int>(s), m));
    }
  }
}

bool Activity::is_llm(int stage) const {
  return plan_.stages[static_cast<std::size_t>(stage)].modality ==
         static_cast<int>(plan_.modalities.size()) - 1;
}

int Activity::items(int modality, int microbatch) const {
  return items_[static_cast<std::size_t>(modality)][static_cast<std::size_t>(microbatch)];
}

bool Activity::forward(int stage, int microbatch) const {
  if (is_llm(stage)) return texts_.empty() || texts_[static_cast<std::size_t>(microbatch)];
  return items(plan_.stages[static_cast<std::size_t>(stage)].modality, microbatch) > 0;
}

bool Activity::backward(int stage, int microbatch) const {
  return backward_[static_cast<std::size_t>(stage)][static_cast<std::size_t>(microbatch)];
}

bool Activity::has_work(const Instruction& i) const {
  const auto producer = [&] { return plan_.seams[static_cast<std::size_t>(i.seam)].from; };
  switch (i.op) {
    case Op::forward:
      return forward(i.stage, i.microbatch);
    case Op::backward:
      return backward(i.stage, i.microbatch);
    case Op::receive_forward:
    case Op::send_forward:
      return forward(producer(), i.microbatch);
    case Op::receive_backward:
    case Op::send_backward:
      return backward(producer(), i.microbatch);
    case Op::reduce_gradients:
      return true;
  }
  return true;
}

int Activity::last_backward(int stage) const {
  for (int m = plan_.num_microbatches; m-- > 0;)
    if (backward(stage, m)) return m;
  return -1;
}

}  // namespace cornstarch::plan
