#include <ATen/Context.h>
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>

#include <cstdlib>

#include "cornstarch/base/text.h"
#include "cornstarch/telemetry/peak_flops.h"
#include "device.h"

namespace cornstarch::train {
namespace {

constexpr int kOldestCapability = 80, kOldestWithFp8 = 89;

std::string version_text(int version) { return cat(version / 1000, ".", version % 1000 / 10); }

std::string env_or(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value ? value : otherwise;
}

void require_driver() {
  int driver = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0)
    throw Failure(ExitCode::device, "device: cuda, but this host has no NVIDIA driver",
                  "run on a host with a GPU, or set device to cpu");
  if (driver / 1000 < CUDART_VERSION / 1000)
    throw Failure(ExitCode::device,
                  cat("the NVIDIA driver of this host supports CUDA ", version_text(driver),
                      ", but this build needs CUDA ", version_text(CUDART_VERSION)),
                  "update the driver, or build with an older CUDA toolkit and its LibTorch");
}

int count_gpus() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  throw Failure(ExitCode::device,
                cat("device: cuda, but no GPU can be used here: ",
                    cudaGetErrorString(error == cudaSuccess ? cudaErrorNoDevice : error),
                    " (CUDA_VISIBLE_DEVICES is '", env_or("CUDA_VISIBLE_DEVICES", "not set"), "')"),
                "run on a host with a GPU, or set device to cpu");
}

/// Launchers that show each process a GPU of its own (srun --gpus-per-task=1) leave only one to choose.
int index_of(const launch::LaunchContext& launch, int gpus) {
  if (gpus == 1 && std::getenv("SLURM_GPUS_PER_TASK")) return 0;
  if (launch.local_rank < gpus) return launch.local_rank;
  throw Failure(ExitCode::launch,
                cat("rank ", launch.rank, " is process ", launch.local_rank, " of its node, which has ", gpus,
                    gpus == 1 ? " GPU" : " GPUs", " (CUDA_VISIBLE_DEVICES is '",
                    env_or("CUDA_VISIBLE_DEVICES", "not set"), "')"),
                cat("start at most ", gpus, " on each node: every process takes one GPU"));
}

void require_architecture(int index) {
  cudaDeviceProp gpu{};
  cudaGetDeviceProperties(&gpu, index);
  if (gpu.major * 10 + gpu.minor >= kOldestCapability) return;
  throw Failure(ExitCode::device,
                cat("GPU ", index, " (", gpu.name, ", compute capability ", gpu.major, ".", gpu.minor,
                    ") is older than what this build has code for (8.0 and newer)"));
}

}  // namespace

at::Device open_gpu(const launch::LaunchContext& launch) {
  // Read when CUDA and cuBLAS start. Messages wait for each other on streams of their own: two that share a
  // hardware queue could wait for ever, so what an environment made for other trainers says does not count.
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 1);
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  require_driver();
  const int index = index_of(launch, count_gpus());
  require_architecture(index);
  if (!at::globalContext().hasCUDA())
    throw Failure(ExitCode::device, "LibTorch finds no CUDA here, though the CUDA runtime does");
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  at::globalContext().lazyInitDevice(at::kCUDA);
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

// Of our kernels none adds up in the order in which threads come; of ATen's the backward of attention does,
// unless it is told not to (cuDNN's is then not taken), and so do scattered sums. ATen throws at an operation
// that has no other way. To fill what is allocated is for finding bugs, and costs time.
void want_the_same_bits() {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 1);
  setenv("NCCL_ALGO", "Ring", 0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  at::globalContext().setDeterministicCuDNN(true);
}

void require_precision(at::Device device, config::Precision precision) {
  if (!device.is_cuda() || precision != config::Precision::fp8) return;
  cudaDeviceProp gpu{};
  cudaGetDeviceProperties(&gpu, device.index());
  if (gpu.major * 10 + gpu.minor >= kOldestWithFp8) return;
  throw Failure(
      ExitCode::device,
      cat("precision: fp8, but GPU ", static_cast<int>(device.index()), " (", gpu.name,
          ", compute capability ", gpu.major, ".", gpu.minor, ") has no fp8, which begins with 8.9"),
      "set precision to bf16");
}

std::optional<double> peak_flops(at::Device device, config::Precision precision) {
  const bool bf16 = precision == config::Precision::bf16 || precision == config::Precision::bf16_pure ||
                    precision == config::Precision::fp8;  // half of what those products could do
  if (!device.is_cuda() || !bf16) return std::nullopt;
  return telemetry::bf16_peak_flops(gpu_name(device));
}

std::string gpu_name(at::Device device) {
  cudaDeviceProp gpu{};
  cudaGetDeviceProperties(&gpu, device.index());
  return gpu.name;
}

}  // namespace cornstarch::train
