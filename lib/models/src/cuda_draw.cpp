#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "cornstarch/nn/cuda_tensors.h"
#include "cuda_draw_kernel.h"
#include "draw.h"

namespace cornstarch::models {

void draw_normal_on_gpu(std::uint64_t key, const Runs& runs, std::int64_t begin, double std,
                        const at::Tensor& out) {
  cuda::draw_normal(
      {out.mutable_data_ptr(), out.numel(), key, begin, runs.length, runs.first, runs.stride, std},
      nn::cuda::type_of(out), c10::cuda::getCurrentCUDAStream(out.device().index()).stream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace cornstarch::models
