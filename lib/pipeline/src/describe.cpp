#include "describe.h"

#include "cornstarch/base/text.h"

namespace cornstarch::pipeline {
namespace {

using plan::Op;

const char* verb_of(Op op) {
  switch (op) {
    case Op::forward:
      return "forward";
    case Op::backward:
      return "backward";
    case Op::receive_forward:
    case Op::receive_backward:
      return "wait for";
    case Op::send_forward:
    case Op::send_backward:
      return "send";
    case Op::reduce_gradients:
      return "reduce the gradients of";
  }
  return "";
}

}  // namespace

telemetry::Activity activity_of(Op op) {
  switch (op) {
    case Op::forward:
    case Op::backward:
      return telemetry::Activity::compute;
    case Op::receive_forward:
    case Op::receive_backward:
      return telemetry::Activity::bubble;
    case Op::send_forward:
    case Op::send_backward:
    case Op::reduce_gradients:
      return telemetry::Activity::communication;
  }
  return telemetry::Activity::compute;
}

std::string describe(const plan::Plan& plan, const plan::Instruction& instruction) {
  if (instruction.seam >= 0) return cat(verb_of(instruction.op), " ", describe_message(plan, instruction));
  const std::string microbatch =
      instruction.microbatch < 0 ? "" : cat(", microbatch ", instruction.microbatch);
  return cat(verb_of(instruction.op), " ", plan.stage_name(instruction.stage), microbatch);
}

std::string describe_message(const plan::Plan& plan, const plan::Instruction& instruction) {
  const plan::Seam& seam = plan.seams[static_cast<std::size_t>(instruction.seam)];
  const bool gradients = instruction.op == Op::receive_backward || instruction.op == Op::send_backward;
  return cat(gradients ? "gradients" : "activations", " of microbatch ", instruction.microbatch, " between ",
             plan.stage_name(seam.from), " and ", plan.stage_name(seam.to));
}

}  // namespace cornstarch::pipeline
