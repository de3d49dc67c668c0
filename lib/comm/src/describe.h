#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <string>
#include <vector>

/// The words in which operations, tensors and ranks appear in messages.
namespace cornstarch::comm {

std::string dtype_name(at::ScalarType type);                        ///< "fp32"
std::string describe(const at::Tensor& tensor);                     ///< "2x512 fp32"
std::string describe_ranks(const std::vector<int>& ranks);          ///< "rank 1", "ranks 1, 2, 5"
std::string describe_duration(std::chrono::milliseconds duration);  ///< "600 s", "0.25 s"
std::string stopped_because(int rank, const std::string& cause);    ///< text of every peer_failed
std::string one_line(const std::string& text);                      ///< newlines become spaces

/// Throws a Failure (internal) unless the tensor is defined, contiguous and on the device that the backend
/// serves.
void require_plain(const at::Tensor& tensor, const char* operation, at::DeviceType device = at::kCPU);

/// The same of both, and unless `whole` has `parts` times the elements of `part`, in the same dtype.
void require_parts(const at::Tensor& whole, const at::Tensor& part, int parts, const char* operation,
                   at::DeviceType device = at::kCPU);

}  // namespace cornstarch::comm
