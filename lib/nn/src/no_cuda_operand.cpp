#include "cornstarch/base/result.h"
#include "cuda_operand.h"

namespace cornstarch::nn::cuda {
namespace {

[[noreturn]] void unavailable() { throw Failure(ExitCode::internal, "this build has no CUDA"); }

}  // namespace

Fp8Matrix to_fp8(const at::Tensor&, const Fp8Scales::Site&, Forms, const at::Tensor&) { unavailable(); }
at::Tensor fp8_product(const Fp8Rows&, const Fp8Rows&, const at::Tensor&) { unavailable(); }
void fp8_gradient(const at::Tensor&, const Fp8Rows&, const Fp8Rows&, bool) { unavailable(); }

}  // namespace cornstarch::nn::cuda
