#pragma once

#include <string>

#include "cornstarch/plan/plan.h"
#include "cornstarch/telemetry/timeline.h"

/// Instructions in words: what errors, metrics and traces say of them.
namespace cornstarch::pipeline {

/// What the time of an instruction goes to.
telemetry::Activity activity_of(plan::Op op);

/// "forward llm stage 1, microbatch 3"; "wait for gradients of microbatch 3 between vision stage 0 and llm
/// stage 0"
std::string describe(const plan::Plan& plan, const plan::Instruction& instruction);

/// What an instruction moves over its seam: "gradients of microbatch 3 between vision stage 0 and llm stage
/// 0"
std::string describe_message(const plan::Plan& plan, const plan::Instruction& instruction);

}  // namespace cornstarch::pipeline
