#include "cornstarch/plan/schedule.h"

#include <algorithm>
#include <deque>
#include <map>

#include "cornstarch/base/text.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::plan {
namespace {

/// Writes the instructions of whole forwards and backwards with the messages around them.
class Writer {
 public:
  Writer(const std::vector<StagePlan>& stages, const std::vector<Seam>& seams, bool with_messages)
      : stages_(stages), seams_(seams), with_messages_(with_messages) {}

  void forward(int stage, int microbatch) {
    messages(Op::receive_forward, stage, microbatch, &Seam::to, false);
    out_.push_back({Op::forward, stage, -1, microbatch});
    messages(Op::send_forward, stage, microbatch, &Seam::from, false);
  }
  void backward(int stage, int microbatch) {
    if (!stages_[static_cast<std::size_t>(stage)].backward()) return;
    messages(Op::receive_backward, stage, microbatch, &Seam::from, true);
    out_.push_back({Op::backward, stage, -1, microbatch});
    messages(Op::send_backward, stage, microbatch, &Seam::to, true);
  }
  void reduce(int stage) {
    if (stages_[static_cast<std::size_t>(stage)].trains)
      out_.push_back({Op::reduce_gradients, stage, -1, -1});
  }
  std::vector<Instruction> take() { return std::move(out_); }

 private:
  /// One message for each seam that ends in `stage` at `end`; gradients only where the producer wants them.
  void messages(Op op, int stage, int microbatch, int Seam::* end, bool gradients) {
    if (!with_messages_) return;
    for (std::size_t i = 0; i < seams_.size(); ++i) {
      const Seam& seam = seams_[i];
      // A stage that sends forward is asked for a gradient only if it has a backward itself.
      if (seam.*end != stage || (gradients && !seam.carries_grad)) continue;
      out_.push_back({op, stage, static_cast<int>(i), microbatch});
    }
  }

  const std::vector<StagePlan>& stages_;
  const std::vector<Seam>& seams_;
  bool with_messages_;
  std::vector<Instruction> out_;
};

int num_stages_of(const std::vector<StagePlan>& stages, int modality) {
  return static_cast<int>(std::count_if(stages.begin(), stages.end(),
                                        [&](const StagePlan& s) { return s.modality == modality; }));
}

int warm_up(const std::vector<StagePlan>& stages, int stage) {
  const StagePlan& own = stages[static_cast<std::size_t>(stage)];
  const int llm = stages.back().modality;
  const int after = own.modality == llm ? 0 : num_stages_of(stages, llm);
  return num_stages_of(stages, own.modality) + after - own.stage_in_modality - 1;
}

Program stage_program(const std::vector<StagePlan>& stages, const std::vector<Seam>& seams, int stage,
                      int num_microbatches) {
  Writer writer(stages, seams, true);
  const bool forward_only = !stages[static_cast<std::size_t>(stage)].backward();
  const int ahead = std::min(num_microbatches, forward_only ? num_microbatches : warm_up(stages, stage));
  for (int m = 0; m < ahead; ++m) writer.forward(stage, m);
  for (int m = ahead; m < num_microbatches; ++m) {
    writer.forward(stage, m);
    writer.backward(stage, m - ahead);
  }
  for (int m = num_microbatches - ahead; m < num_microbatches; ++m) writer.backward(stage, m);
  writer.reduce(stage);
  return {{stage}, writer.take()};
}

Program whole_program(const std::vector<StagePlan>& stages, const std::vector<Seam>& seams,
                      int num_microbatches) {
  Writer writer(stages, seams, false);
  const int n = static_cast<int>(stages.size());
  Program program;
  for (int s = 0; s < n; ++s) program.stages.push_back(s);
  for (int m = 0; m < num_microbatches; ++m) {
    for (int s = 0; s < n; ++s) writer.forward(s, m);
    for (int s = n; s-- > 0;) writer.backward(s, m);
  }
  for (int s = n; s-- > 0;) writer.reduce(s);
  program.instructions = writer.take();
  return program;
}

/// Plays programs against each other with messages that wait in queues until they are received.
class Player {
 public:
  Player(const Schedule& schedule, const std::vector<StagePlan>& stages, const std::vector<Seam>& seams)
      : schedule_(schedule), stages_(stages), seams_(seams) {}

  Result<void> play() {
    std::vector<std::size_t> next(schedule_.programs.size(), 0);
    for (bool progress = true; progress;) {
      progress = false;
      for (std::size_t p = 0; p < next.size(); ++p) {
        const auto& instructions = schedule_.programs[p].instructions;
        while (next[p] < instructions.size() && step(instructions[next[p]])) {
          ++next[p];
          progress = true;
        }
        if (!problem_.empty()) return fail(ExitCode::internal, problem_);
      }
    }
    for (std::size_t p = 0; p < next.size(); ++p)
      if (next[p] < schedule_.programs[p].instructions.size())
        return fail(ExitCode::internal, cat("deadlock: ", name(schedule_.programs[p].instructions[next[p]]),
                                            " waits for a message that is never sent"));
    for (const auto& [channel, queue] : queues_)
      if (!queue.empty())
        return fail(ExitCode::internal, cat("microbatch ", queue.front(), " sent over seam ", channel.first,
                                            " is never received"));
    return {};
  }

  Result<void> check_counts(int num_microbatches, bool backwards) const {
    for (int s = 0; s < static_cast<int>(stages_.size()); ++s)
      for (int m = 0; m < num_microbatches; ++m) {
        if (times(forwards_, s, m) != 1)
          return fail(ExitCode::internal, cat("stage ", s, " runs forward of microbatch ", m, " ",
                                              times(forwards_, s, m), " times"));
        const int wanted = backwards && stages_[static_cast<std::size_t>(s)].backward() ? 1 : 0;
        if (times(backwards_, s, m) != wanted)
          return fail(ExitCode::internal, cat("stage ", s, " runs backward of microbatch ", m, " ",
                                              times(backwards_, s, m), " times"));
      }
    return {};
  }

 private:
  using Channel = std::pair<int, bool>;  // seam, gradients
  using Count = std::map<std::pair<int, int>, int>;

  static std::string name(const Instruction& i) {
    static const char* const names[] = {"receive_forward",  "forward",  "send_forward",
                                        "receive_backward", "backward", "send_backward",
                                        "reduce_gradients"};
    return cat(names[static_cast<int>(i.op)], " of stage ", i.stage, ", microbatch ", i.microbatch);
  }
  static int times(const Count& count, int stage, int microbatch) {
    const auto it = count.find({stage, microbatch});
    return it == count.end() ? 0 : it->second;
  }

  /// Whether a message goes over a seam that begins or ends, as it must, in the instruction's stage.
  bool over_own_seam(const Instruction& i) const {
    if (i.seam < 0 || i.seam >= static_cast<int>(seams_.size())) return false;
    const Seam& seam = seams_[static_cast<std::size_t>(i.seam)];
    const bool leaves = i.op == Op::send_forward || i.op == Op::receive_backward;
    return (leaves ? seam.from : seam.to) == i.stage;
  }

  /// Whether the instruction could run now.
  bool step(const Instruction& i) {
    const bool computes = i.op == Op::forward || i.op == Op::backward || i.op == Op::reduce_gradients;
    if (!computes && !over_own_seam(i)) {
      problem_ = cat(name(i), " goes over seam ", i.seam, ", which is none of its stage");
      return false;
    }
    switch (i.op) {
      case Op::send_forward:
      case Op::send_backward:
        queues_[{i.seam, i.op == Op::send_backward}].push_back(i.microbatch);
        return true;
      case Op::receive_forward:
      case Op::receive_backward: {
        auto& queue = queues_[{i.seam, i.op == Op::receive_backward}];
        if (queue.empty()) return false;
        if (queue.front() != i.microbatch)
          problem_ = cat(name(i), " meets microbatch ", queue.front(), " on seam ", i.seam);
        queue.pop_front();
        return problem_.empty();
      }
      case Op::forward:
        ++forwards_[{i.stage, i.microbatch}];
        return true;
      case Op::backward:
        if (times(forwards_, i.stage, i.microbatch) == 0)
          problem_ = cat(name(i), " comes before its forward");
        ++backwards_[{i.stage, i.microbatch}];
        return problem_.empty();
      case Op::reduce_gradients:
        return true;
    }
    return true;
  }

  const Schedule& schedule_;
  const std::vector<StagePlan>& stages_;
  const std::vector<Seam>& seams_;
  std::map<Channel, std::deque<int>> queues_;
  Count forwards_, backwards_;
  std::string problem_;
};

}  // namespace

const Program& Schedule::of_stage(int stage) const {
  for (const Program& p : programs)
    if (std::find(p.stages.begin(), p.stages.end(), stage) != p.stages.end()) return p;
  throw std::out_of_range(cat("no program for stage ", stage));
}

Schedule one_f_one_b(const std::vector<StagePlan>& stages, const std::vector<Seam>& seams,
                     int num_microbatches, bool single_program) {
  Schedule schedule;
  if (single_program) {
    schedule.programs.push_back(whole_program(stages, seams, num_microbatches));
    return schedule;
  }
  for (int s = 0; s < static_cast<int>(stages.size()); ++s)
    schedule.programs.push_back(stage_program(stages, seams, s, num_microbatches));
  return schedule;
}

Schedule forward_only(const Schedule& schedule) {
  Schedule out = schedule;
  for (Program& program : out.programs)
    std::erase_if(program.instructions, [](const Instruction& i) {
      return i.op != Op::receive_forward && i.op != Op::forward && i.op != Op::send_forward;
    });
  return out;
}

Result<void> verify(const Schedule& schedule, const std::vector<StagePlan>& stages,
                    const std::vector<Seam>& seams, int num_microbatches, bool backwards) {
  Player player(schedule, stages, seams);
  if (auto played = player.play(); !played) return played;
  return player.check_counts(num_microbatches, backwards);
}

int peak_in_flight(const Schedule& schedule, int stage) {
  int now = 0, peak = 0;
  for (const Instruction& i : schedule.of_stage(stage).instructions) {
    if (i.stage != stage) continue;
    if (i.op == Op::forward) peak = std::max(peak, ++now);
    if (i.op == Op::backward) --now;
  }
  return peak;
}

}  // namespace cornstarch::plan
