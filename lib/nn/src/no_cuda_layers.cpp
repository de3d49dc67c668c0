#include "cornstarch/base/result.h"
#include "cuda_layers.h"

namespace cornstarch::nn::cuda {
namespace {

[[noreturn]] void refuse() { throw Failure(ExitCode::internal, "this program was built without CUDA"); }

}  // namespace

Normed norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, double, bool,
            double) {
  refuse();
}

NormGrads norm_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, double,
                        const Normed&, bool, bool) {
  refuse();
}

void rotate(const at::Tensor&, const at::Tensor&, const RopeTable&, bool, const at::Tensor&,
            const at::Tensor&) {
  refuse();
}

at::Tensor gated(catalog::Activation, const at::Tensor&, const at::Tensor&) { refuse(); }

GatedGradTensors gated_backward(catalog::Activation, const at::Tensor&, const at::Tensor&,
                                const at::Tensor&) {
  refuse();
}

void drop(const at::Tensor&, const Dropout&, std::uint32_t, const RowNames&, const at::Tensor&) { refuse(); }

void logit_statistics(const at::Tensor&, const at::Tensor&, std::int64_t, const at::Tensor&) { refuse(); }

void logit_gradient(const at::Tensor&, const at::Tensor&, std::int64_t, const at::Tensor&,
                    const at::Tensor&) {
  refuse();
}

}  // namespace cornstarch::nn::cuda
