#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <cmath>

#include "cornstarch/base/result.h"
#include "cornstarch/nn/cuda_tensors.h"
#include "cornstarch/optim/fused.h"
#include "cuda_kernels.h"

namespace cornstarch::optim {
namespace {

using nn::cuda::type_of;

cuda::Stream stream_of(const at::Tensor& x) {
  return c10::cuda::getCurrentCUDAStream(x.device().index()).stream();
}

const float* scalar(const at::Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }

void add(cuda::Table& table, cuda::Segment segment) {
  segment.first_block = table.blocks;
  table.segments[table.count++] = segment;
  table.blocks += (segment.size + cuda::block_elements - 1) / cuda::block_elements;
}

cuda::Segment addresses(const AdamwSegment& s) {
  return {s.value.defined() ? s.value.data_ptr() : nullptr,
          s.master.data_ptr(),
          s.gradient.data_ptr(),
          s.first.data_ptr(),
          s.second.data_ptr(),
          s.master.numel(),
          0,
          s.weight_decay};
}

// Fills tables with what is not empty of `items`; calls launch(table) for each full one, and for the last.
template <typename Item, typename Launch>
void by_table(const std::vector<Item>& items, cuda::Segment (*segment_of)(const Item&),
              const Launch& launch) {
  cuda::Table table;
  for (const Item& item : items) {
    const cuda::Segment segment = segment_of(item);
    if (segment.size == 0) continue;
    if (table.count == cuda::most_segments) {
      launch(table);
      table.count = 0;
      table.blocks = 0;
    }
    add(table, segment);
  }
  if (table.count > 0) launch(table);
}

cuda::Segment gradient_only(const at::Tensor& gradient) {
  return {nullptr, nullptr, gradient.data_ptr(), nullptr, nullptr, gradient.numel(), 0, 0};
}

}  // namespace

void fused_adamw(const std::vector<AdamwSegment>& segments, const AdamwStep& step) {
  if (segments.empty()) return;
  const AdamwSegment& any = segments.front();
  const cuda::Adamw args{step.lr,
                         step.beta1,
                         step.beta2,
                         step.eps,
                         std::log(step.beta1),
                         std::log(step.beta2),
                         step.steps.const_data_ptr<float>(),
                         scalar(step.scale),
                         scalar(step.skip)};
  const cuda::Type master = type_of(any.master);
  by_table<AdamwSegment>(segments, addresses, [&](const cuda::Table& table) {
    cuda::adamw(table, args, any.value.defined() ? type_of(any.value) : master, master, type_of(any.gradient),
                stream_of(any.master));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

at::Tensor fused_squared_norm(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) throw Failure(ExitCode::internal, "fused_squared_norm: no gradients");
  const at::Tensor& any = gradients.front();
  std::int64_t blocks = 0;
  for (const at::Tensor& g : gradients)
    blocks += (g.numel() + cuda::block_elements - 1) / cuda::block_elements;
  const at::Tensor partials = at::empty({blocks}, any.options().dtype(at::kDouble));
  double* next = partials.mutable_data_ptr<double>();
  by_table<at::Tensor>(gradients, gradient_only, [&](const cuda::Table& table) {
    cuda::squared_norms(table, next, type_of(any), stream_of(any));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    next += table.blocks;
  });
  at::Tensor out = at::empty({}, partials.options());
  cuda::sum(partials.const_data_ptr<double>(), blocks, out.mutable_data_ptr<double>(), stream_of(any));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

}  // namespace cornstarch::optim
