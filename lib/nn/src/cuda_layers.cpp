#include "cuda_layers.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include "cornstarch/base/result.h"
#include "cornstarch/nn/cuda_tensors.h"
#include "cuda_kernels.h"

namespace cornstarch::nn::cuda {
namespace {

Stream stream_of(const at::Tensor& x) { return c10::cuda::getCurrentCUDAStream(x.device().index()).stream(); }

const void* address(const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }
void* writable(const at::Tensor& x) { return x.defined() ? x.mutable_data_ptr() : nullptr; }

// Of the width in which the kernels compute.
at::TensorOptions wide(const at::Tensor& x) {
  return x.options().dtype(x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
}

// What kernels take for granted and callers could get wrong.
void require(bool holds, const char* what) {
  if (!holds) throw Failure(ExitCode::internal, what);
}

void require_same_type(const at::Tensor& x, const at::Tensor& y) {
  require(!y.defined() || (y.scalar_type() == x.scalar_type() && y.is_cuda()),
          "tensors of one kernel differ in type or device");
}

// The rows of x with a stride between them, of which x may be some columns.
struct Rows {
  at::Tensor x;  // as it is, or a contiguous copy of it
  std::int64_t stride;
};

Rows rows_of(const at::Tensor& x) {
  if (!x.defined()) return {x, 0};
  std::int64_t stride = x.size(-1);
  bool even = x.stride(-1) == 1;
  if (x.dim() > 1) stride = x.stride(-2);
  for (std::int64_t d = x.dim() - 3; d >= 0; --d)
    even = even && (x.size(d) == 1 || x.stride(d) == x.stride(d + 1) * x.size(d + 1));
  return even ? Rows{x, stride} : Rows{x.contiguous(), x.size(-1)};
}

}  // namespace

Normed norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight, const at::Tensor& bias,
            double eps, bool centered, double offset) {
  const std::int64_t size = weight.numel(), rows = x.numel() / size;
  require(size <= norm_longest, "a norm's rows are too long for its kernel");
  for (const at::Tensor& other : {residual, weight, bias}) require_same_type(x, other);
  Normed out{at::empty_like(x), {}, at::empty({rows}, wide(x))};
  if (centered) out.mean = at::empty({rows}, wide(x));
  if (rows == 0) return out;
  norm_forward({x.const_data_ptr(), address(residual), residual.defined() ? x.mutable_data_ptr() : nullptr,
                weight.const_data_ptr(), address(bias), out.y.mutable_data_ptr(), writable(out.mean),
                out.rstd.mutable_data_ptr(), rows, size, eps, offset, centered},
               type_of(x), stream_of(x));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

NormGrads norm_backward(const at::Tensor& grad, const at::Tensor& sum_grad, const at::Tensor& x,
                        const at::Tensor& weight, double offset, const Normed& normed, bool x_needed,
                        bool weight_needed) {
  const std::int64_t size = weight.numel(), rows = normed.rstd.numel();
  const bool centered = normed.mean.defined();
  for (const at::Tensor& other : {grad, sum_grad, weight}) require_same_type(x, other);
  NormGrads out;
  if (x_needed) out.x = at::empty_like(x);
  const auto sums = [&] { return rows == 0 ? at::zeros_like(weight) : at::empty_like(weight); };
  if (weight_needed) out.weight = sums();
  if (weight_needed && centered) out.bias = sums();
  if (rows == 0) return out;
  const int parts = norm_parts(rows, size);
  at::Tensor weight_parts, bias_parts;
  if (weight_needed) weight_parts = at::empty({parts, size}, wide(x));
  if (weight_needed && centered) bias_parts = at::empty({parts, size}, wide(x));
  const Type type = type_of(x);
  const Stream stream = stream_of(x);
  norm_backward({grad.const_data_ptr(), address(sum_grad), x.const_data_ptr(), weight.const_data_ptr(),
                 address(normed.mean), normed.rstd.const_data_ptr(), writable(out.x), writable(weight_parts),
                 writable(bias_parts), rows, size, parts, offset, centered},
                type, stream);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  const auto sum_up = [&](const at::Tensor& shares, const at::Tensor& into) {
    if (!shares.defined()) return;
    column_sums(shares.const_data_ptr(), parts, size, into.mutable_data_ptr(), type, stream);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  };
  sum_up(weight_parts, out.weight);
  sum_up(bias_parts, out.bias);
  return out;
}

void rotate(const at::Tensor& q, const at::Tensor& k, const RopeTable& table, bool inverse,
            const at::Tensor& q_out, const at::Tensor& k_out) {
  const std::int64_t half = table.cos.size(1), rows = q.size(0) * q.size(1);
  if (rows == 0) return;
  for (const at::Tensor& other : {k, q_out, k_out}) require_same_type(q, other);
  require(table.cos.scalar_type() == wide(q).dtype().toScalarType(), "the rotary tables are too narrow");
  require(table.cos.is_contiguous() && table.sin.is_contiguous() && q_out.is_contiguous() &&
              k_out.is_contiguous(),
          "a tensor of the rotary embedding is not contiguous");
  require(table.cos.size(0) == q.size(1), "the rotary tables have other positions than q");
  const Rows from_q = rows_of(q), from_k = rows_of(k);
  rotate({from_q.x.const_data_ptr(), from_k.x.const_data_ptr(), q_out.mutable_data_ptr(),
          k_out.mutable_data_ptr(), table.cos.const_data_ptr(), table.sin.const_data_ptr(), rows, q.size(1),
          from_q.stride, from_k.stride, static_cast<int>(q.size(2) / (2 * half)),
          static_cast<int>(k.size(2) / (2 * half)), static_cast<int>(half), inverse},
         type_of(q), stream_of(q));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

at::Tensor gated(catalog::Activation kind, const at::Tensor& gate, const at::Tensor& up) {
  require_same_type(gate, up);
  at::Tensor out = at::empty(gate.sizes(), gate.options());
  if (out.numel() == 0) return out;
  const Rows g = rows_of(gate), u = rows_of(up);
  gated({kind, g.x.const_data_ptr(), address(u.x), out.mutable_data_ptr(), out.numel() / out.size(-1),
         out.size(-1), g.stride, u.stride},
        type_of(gate), stream_of(gate));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

GatedGradTensors gated_backward(catalog::Activation kind, const at::Tensor& grad, const at::Tensor& gate,
                                const at::Tensor& up) {
  for (const at::Tensor& other : {grad, up}) require_same_type(gate, other);
  GatedGradTensors out{at::empty(gate.sizes(), gate.options()), {}};
  if (up.defined()) out.up = at::empty(up.sizes(), up.options());
  if (grad.numel() == 0) return out;
  const Rows g = rows_of(gate), u = rows_of(up);
  gated_backward({kind, g.x.const_data_ptr(), address(u.x), nullptr, grad.numel() / grad.size(-1),
                  grad.size(-1), g.stride, u.stride},
                 {grad.const_data_ptr(), out.gate.mutable_data_ptr(), writable(out.up)}, type_of(gate),
                 stream_of(gate));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

void drop(const at::Tensor& x, const Dropout& dropout, std::uint32_t threshold, const RowNames& names,
          const at::Tensor& out) {
  require_same_type(x, out);
  require(x.is_contiguous() && out.is_contiguous() && names.of.is_contiguous() && names.of.is_cuda(),
          "a tensor of dropout is not contiguous, or its names are not on the device");
  drop({x.const_data_ptr(), out.mutable_data_ptr(), names.of.const_data_ptr<std::int64_t>(), x.size(0),
        x.size(1), dropout.first, dropout.key, names.step, threshold, 1 / (1 - dropout.p)},
       type_of(x), stream_of(x));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void logit_statistics(const at::Tensor& logits, const at::Tensor& targets, std::int64_t first,
                      const at::Tensor& own) {
  if (logits.numel() == 0) return;
  logit_statistics(
      {logits.const_data_ptr(), targets.const_data_ptr<std::int64_t>(), own[0].mutable_data_ptr(),
       own[1].mutable_data_ptr(), own[2].mutable_data_ptr(), logits.size(0), logits.size(1), first},
      type_of(logits), stream_of(logits));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void logit_gradient(const at::Tensor& logits, const at::Tensor& targets, std::int64_t first,
                    const at::Tensor& max, const at::Tensor& sum) {
  if (logits.numel() == 0) return;
  require(max.is_contiguous() && sum.is_contiguous() && targets.is_contiguous(),
          "a tensor of the cross-entropy is not contiguous");
  logit_gradient({logits.mutable_data_ptr(), targets.const_data_ptr<std::int64_t>(), max.const_data_ptr(),
                  sum.const_data_ptr(), logits.size(0), logits.size(1), first},
                 type_of(logits), stream_of(logits));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace cornstarch::nn::cuda
