#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "cornstarch/base/words.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/control/board.h"

/// The words in which operations and tensors appear in messages.
namespace cornstarch::comm {

std::string dtype_name(at::ScalarType type);     ///< "fp32"
std::string describe(const at::Tensor& tensor);  ///< "2x512 fp32"

/// The board's part of the deadlines.
control::BoardOptions board_options(const Deadline& deadline);

/// What ends a rank that hears of a failure.
[[noreturn]] void throw_failure(const control::RankFailure& failure, int rank);

/// Throws a Failure (internal) unless the tensor is defined, contiguous and on the device that the backend
/// serves.
void require_plain(const at::Tensor& tensor, const char* operation, at::DeviceType device = at::kCPU);

/// The same of both, and unless `whole` has `parts` times the elements of `part`, in the same dtype.
void require_parts(const at::Tensor& whole, const at::Tensor& part, int parts, const char* operation,
                   at::DeviceType device = at::kCPU);

}  // namespace cornstarch::comm
