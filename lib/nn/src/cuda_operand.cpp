#include "cuda_operand.h"

#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/ops/_scaled_mm.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <cublasLt.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cuda_kernels.h"

namespace cornstarch::nn::cuda {
namespace {

constexpr std::int64_t kUnit = 16;
constexpr std::size_t kWorkspace = std::size_t{32} << 20;  // what NVIDIA recommends for Hopper

Stream stream_of(const at::Tensor& x) { return c10::cuda::getCurrentCUDAStream(x.device().index()).stream(); }

void require(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Failure(ExitCode::device, cat("cuBLASLt: ", what, ": ", cublasLtGetStatusString(status)));
}

at::Tensor e4m3(std::int64_t rows, std::int64_t columns, const at::Tensor& like) {
  return at::empty({rows, columns}, like.options().dtype(at::kFloat8_e4m3fn));
}

/// One of cuBLASLt's objects, with its attributes.
template <typename Handle, cublasStatus_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  ~Owned() {
    if (handle_) destroy(handle_);
  }
  Handle* make() { return &handle_; }
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};

using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

struct Description : Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> {
  Description() {
    require(cublasLtMatmulDescCreate(make(), CUBLAS_COMPUTE_32F, CUDA_R_32F), "a product's description");
  }
  template <typename Value>
  void set(cublasLtMatmulDescAttributes_t attribute, Value value) {
    require(cublasLtMatmulDescSetAttribute(*this, attribute, &value, sizeof value), "a product's attribute");
  }
};

/// The largest power of two, at most 256, that an address is a multiple of.
std::uint32_t alignment_of(const void* address) {
  return std::uint32_t{1} << std::min(8, std::countr_zero(reinterpret_cast<std::uintptr_t>(address)));
}

/// into += a b^T. To cuBLASLt, which goes down columns first, it is into^T [n, m] += b a^T, both operands
/// lying along what is summed over, as its kernels for eight bits want it.
class Adding {
 public:
  Adding(const at::Tensor& into, const Fp8Rows& a, const Fp8Rows& b)
      : into_(into), a_(a), b_(b), type_(into.scalar_type() == at::kFloat ? CUDA_R_32F : CUDA_R_16BF) {
    product_.set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    product_.set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    product_.set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, b.inverse.const_data_ptr());
    product_.set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, a.inverse.const_data_ptr());
    product_.set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{0});
    lay_out(first_, CUDA_R_8F_E4M3, b.numbers);
    lay_out(second_, CUDA_R_8F_E4M3, a.numbers);
    lay_out(sum_, type_, into);
  }

  void run() const {
    const cublasLtMatmulAlgo_t algorithm = chosen();
    const at::Tensor workspace =
        at::empty({static_cast<std::int64_t>(kWorkspace)}, into_.options().dtype(at::kByte));
    const float one = 1;
    require(cublasLtMatmul(at::cuda::getCurrentCUDABlasLtHandle(), product_, &one,
                           b_.numbers.const_data_ptr(), first_, a_.numbers.const_data_ptr(), second_, &one,
                           into_.const_data_ptr(), sum_, into_.mutable_data_ptr(), sum_, &algorithm,
                           workspace.mutable_data_ptr(), kWorkspace, stream_of(into_)),
            "a product in fp8");
  }

 private:
  static void lay_out(Layout& layout, cudaDataType_t type, const at::Tensor& x) {
    const auto rows = static_cast<std::uint64_t>(x.size(0)), columns = static_cast<std::uint64_t>(x.size(1));
    require(cublasLtMatrixLayoutCreate(layout.make(), type, columns, rows, x.size(1)), "a matrix's layout");
  }

  using Key =
      std::tuple<c10::DeviceIndex, std::int64_t, std::int64_t, std::int64_t, cudaDataType_t, std::uint32_t>;

  /// Asked for once for each kind of product: asking takes longer than launching.
  cublasLtMatmulAlgo_t chosen() const {
    static std::mutex mutex;
    static std::map<Key, cublasLtMatmulAlgo_t> known;
    const Key key{into_.device().index(), into_.size(0), into_.size(1),
                  a_.numbers.size(1),     type_,         alignment_of(into_.const_data_ptr())};
    const std::lock_guard lock(mutex);
    const auto found = known.find(key);
    if (found != known.end()) return found->second;
    return known[key] = choose();
  }

  cublasLtMatmulAlgo_t choose() const {
    Preference preference;
    require(cublasLtMatmulPreferenceCreate(preference.make()), "a preference");
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      require(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
              "a preference");
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
    const std::uint32_t alignment = alignment_of(into_.const_data_ptr());
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment);
    set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment);
    cublasLtMatmulHeuristicResult_t result{};
    int count = 0;
    require(cublasLtMatmulAlgoGetHeuristic(at::cuda::getCurrentCUDABlasLtHandle(), product_, first_, second_,
                                           sum_, sum_, preference, 1, &result, &count),
            "which way a product in fp8 is computed");
    if (count == 0) throw Failure(ExitCode::device, "cuBLASLt has no way to compute a product in fp8 here");
    return result.algo;
  }

  const at::Tensor& into_;
  const Fp8Rows& a_;
  const Fp8Rows& b_;
  cudaDataType_t type_;
  Description product_;
  Layout first_, second_, sum_;
};

}  // namespace

Fp8Matrix to_fp8(const at::Tensor& x_in, const Fp8Scales::Site& site, Forms forms,
                 const at::Tensor& counted) {
  const at::Tensor x = x_in.contiguous();
  const std::int64_t n = x.size(0), k = x.size(1), padded = (n + kUnit - 1) / kUnit * kUnit;
  if (x.scalar_type() != at::kBFloat16 || k % kUnit != 0)
    throw Failure(ExitCode::internal, "a matrix that cannot be cast to fp8");
  Fp8Matrix out{{}, {}, site.inverse, n};
  if (forms.rows) out.rows = e4m3(n, k, x);
  if (forms.columns) out.columns = e4m3(k, padded, x);
  if (n == 0 || (!forms.rows && !forms.columns)) return out;
  fp8_cast({x.const_data_ptr(), site.scale.const_data_ptr<float>(), site.largest.mutable_data_ptr<float>(),
            counted.defined() ? counted.const_data_ptr<bool>() : nullptr,
            forms.rows ? out.rows.mutable_data_ptr() : nullptr,
            forms.columns ? out.columns.mutable_data_ptr() : nullptr, n, k, padded},
           stream_of(x));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

at::Tensor fp8_product(const Fp8Rows& a, const Fp8Rows& b, const at::Tensor& bias) {
  if (a.numbers.size(0) == 0)
    return at::empty({0, b.numbers.size(0)}, a.numbers.options().dtype(at::kBFloat16));
  const std::optional<at::Tensor> added = bias.defined() ? std::optional(bias.detach()) : std::nullopt;
  return at::_scaled_mm(a.numbers, b.numbers.t(), a.inverse, b.inverse, added, std::nullopt, at::kBFloat16,
                        /*use_fast_accum=*/true);
}

void fp8_gradient(const at::Tensor& into, const Fp8Rows& a, const Fp8Rows& b, bool adds) {
  if (into.numel() == 0) return;
  if (a.numbers.size(1) == 0) {
    if (!adds) into.zero_();
    return;
  }
  if (adds) return Adding(into, a, b).run();
  at::Tensor out = into;
  at::_scaled_mm_out(out, a.numbers, b.numbers.t(), a.inverse, b.inverse, std::nullopt, std::nullopt,
                     into.scalar_type(), /*use_fast_accum=*/false);
}

}  // namespace cornstarch::nn::cuda
