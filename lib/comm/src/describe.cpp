#include "describe.h"

#include <algorithm>

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

std::string describe_ranks(const std::vector<int>& ranks) {
  constexpr std::size_t kShown = 8;
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < std::min(ranks.size(), kShown); ++i) text += cat(i ? ", " : "", ranks[i]);
  if (ranks.size() > kShown) text += cat(" and ", ranks.size() - kShown, " more");
  return text;
}

std::string describe_duration(std::chrono::milliseconds duration) {
  return cat(static_cast<double>(duration.count()) / 1000.0, " s");
}

std::string stopped_because(int rank, const std::string& cause) {
  return cat("stopped because rank ", rank, " failed: ", cause);
}

std::string one_line(const std::string& text) {
  std::string line(trim(text));
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
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
