# LibTorch as imported targets, taken from (in this order) LIBTORCH_ROOT, CMAKE_PREFIX_PATH, an active Python
# environment, or the wheel that scripts/install puts into .deps. The wheel's own TorchConfig.cmake is not used:
# it fails without an installed CUDA toolkit.
#
#   LibTorch::cpu    headers, libtorch_cpu and libc10
#   LibTorch::cuda   the same with libtorch_cuda and libc10_cuda (with CORNSTARCH_WITH_CUDA)
set(_cornstarch_torch_tested 2.11)

# scripts/install looks at the same places before it fetches the wheel.
string(REPLACE ":" ";" _prefixes "$ENV{CMAKE_PREFIX_PATH}")
set(_candidates ${LIBTORCH_ROOT} $ENV{LIBTORCH_ROOT} ${CMAKE_PREFIX_PATH} ${_prefixes})
foreach(_environment VIRTUAL_ENV CONDA_PREFIX)
  if(DEFINED ENV{${_environment}})
    file(GLOB _installed $ENV{${_environment}}/lib/python3.*/site-packages/torch)
    list(APPEND _candidates ${_installed})
  endif()
endforeach()
file(GLOB _wheel ${PROJECT_SOURCE_DIR}/.deps/lib/python3.*/site-packages/torch)
list(APPEND _candidates ${_wheel})

find_path(LibTorch_ROOT_DIR NAMES include/ATen/core/Tensor.h PATHS ${_candidates} NO_DEFAULT_PATH)
if(LibTorch_ROOT_DIR)
  file(STRINGS ${LibTorch_ROOT_DIR}/include/torch/headeronly/version.h _version
    REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE "[^0-9;]" "" _version "${_version}")
  list(JOIN _version "." LibTorch_VERSION)
  if(NOT LibTorch_VERSION MATCHES "^${_cornstarch_torch_tested}(\\.|$)")
    message(FATAL_ERROR "LibTorch ${LibTorch_VERSION} at ${LibTorch_ROOT_DIR} is not a tested version "
      "(${_cornstarch_torch_tested}.x); set LIBTORCH_ROOT to a LibTorch ${_cornstarch_torch_tested}")
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_ROOT_DIR VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/install, or set LIBTORCH_ROOT to the folder that holds include/ATen")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  message(STATUS "LibTorch ${LibTorch_VERSION}: ${LibTorch_ROOT_DIR}")
  add_library(LibTorch::cpu INTERFACE IMPORTED)
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE ${LibTorch_ROOT_DIR}/include
    ${LibTorch_ROOT_DIR}/include/torch/csrc/api/include)
  target_compile_definitions(LibTorch::cpu INTERFACE AT_PER_OPERATOR_HEADERS)
  target_link_options(LibTorch::cpu INTERFACE -L${LibTorch_ROOT_DIR}/lib -Wl,-rpath,${LibTorch_ROOT_DIR}/lib
    -Wl,--allow-shlib-undefined)
  target_link_libraries(LibTorch::cpu INTERFACE -Wl,--no-as-needed torch_cpu c10 -Wl,--as-needed)
endif()

if(LibTorch_FOUND AND CORNSTARCH_WITH_CUDA AND NOT TARGET LibTorch::cuda)
  if(NOT EXISTS ${LibTorch_ROOT_DIR}/lib/libtorch_cuda.so)
    message(FATAL_ERROR "LibTorch at ${LibTorch_ROOT_DIR} is for CPUs only (there is no lib/libtorch_cuda.so); set "
      "LIBTORCH_ROOT to a LibTorch for CUDA ${CUDAToolkit_VERSION_MAJOR}, or build without CORNSTARCH_WITH_CUDA")
  endif()
  file(STRINGS ${LibTorch_ROOT_DIR}/lib/libc10_cuda.so _runtime REGEX "^libcudart\\.so\\.[0-9]+$")
  if(NOT _runtime MATCHES "\\.${CUDAToolkit_VERSION_MAJOR}$")
    message(FATAL_ERROR "LibTorch at ${LibTorch_ROOT_DIR} is built with ${_runtime}, but the CUDA toolkit at "
      "${CUDAToolkit_LIBRARY_ROOT} is ${CUDAToolkit_VERSION}: both must be of one major version")
  endif()
  # What libtorch_cuda needs is beside the wheel or in the toolkit. DT_RPATH, which the newer tag is not, serves the
  # libraries of a program too.
  file(GLOB _wheels ${LibTorch_ROOT_DIR}/../nvidia/*/lib)
  list(TRANSFORM _wheels PREPEND -Wl,-rpath,)
  add_library(LibTorch::cuda INTERFACE IMPORTED)
  target_link_options(LibTorch::cuda INTERFACE -Wl,--disable-new-dtags ${_wheels}
    -Wl,-rpath,${CUDAToolkit_LIBRARY_DIR})
  target_link_libraries(LibTorch::cuda INTERFACE LibTorch::cpu
    -Wl,--no-as-needed,-ltorch_cuda,-lc10_cuda,--as-needed)
endif()
