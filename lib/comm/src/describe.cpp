#include "describe.h"

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::comm {

std::string dtype_name(at::ScalarType type) {
  switch (type) {
    case at::kDouble:
      return "fp64";
    case at::kFloat:
      return "fp32";
    case at::kHalf:
      return "fp16";
    case at::kBFloat16:
      return "bf16";
    case at::kLong:
      return "int64";
    case at::kInt:
      return "int32";
    case at::kShort:
      return "int16";
    case at::kChar:
      return "int8";
    case at::kByte:
      return "uint8";
    case at::kBool:
      return "bool";
    default:
      return c10::toString(type);
  }
}

std::string describe(const at::Tensor& tensor) {
  std::string shape;
  for (const auto size : tensor.sizes()) shape += cat(shape.empty() ? "" : "x", size);
  if (shape.empty()) shape = "scalar";
  return cat(shape, " ", dtype_name(tensor.scalar_type()));
}

control::BoardOptions board_options(const Deadline& deadline) {
  control::BoardOptions options;
  options.start = deadline.start;
  options.step = deadline.step;
  options.silence = control::longest_silence(deadline.per_operation);
  return options;
}

void throw_failure(const control::RankFailure& failure, int rank) {
  throw Failure(control::exit_code_of_others(failure),
                failure.rank == rank ? failure.cause : stopped_because(failure.rank, failure.cause));
}

void require_plain(const at::Tensor& tensor, const char* operation, at::DeviceType device) {
  if (!tensor.defined()) throw Failure(ExitCode::internal, cat(operation, ": the tensor is undefined"));
  if (tensor.device().type() == device && tensor.is_contiguous()) return;
  throw Failure(ExitCode::internal,
                cat(operation, ": the tensor (", describe(tensor), ") must be contiguous and on the ",
                    device == at::kCPU ? "CPU" : "GPU"));
}

void require_parts(const at::Tensor& whole, const at::Tensor& part, int parts, const char* operation,
                   at::DeviceType device) {
  require_plain(whole, operation, device);
  require_plain(part, operation, device);
  if (whole.numel() == part.numel() * parts && whole.scalar_type() == part.scalar_type()) return;
  throw Failure(ExitCode::internal,
                cat(operation, ": ", describe(whole), " is not ", parts, " times ", describe(part)));
}

}  // namespace cornstarch::comm
