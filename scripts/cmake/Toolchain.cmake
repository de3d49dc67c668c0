# What every target shares: the language, warnings, sanitizers, output folders and outside libraries.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
# Installed programs find LibTorch, CUDA and NCCL where the build did.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(cornstarch_flags INTERFACE)
target_compile_options(cornstarch_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wnon-virtual-dtor
  # GCC's flow analysis invents overlaps and uninitialised members in std::string and std::optional (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized>
  $<$<BOOL:${CORNSTARCH_WERROR}>:-Werror>>)
if(CORNSTARCH_SANITIZE)
  target_compile_options(cornstarch_flags INTERFACE -fsanitize=${CORNSTARCH_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(cornstarch_flags INTERFACE -fsanitize=${CORNSTARCH_SANITIZE})
endif()

find_package(Threads REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(tl-expected REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PNG REQUIRED)
if(TARGET yaml-cpp::yaml-cpp)  # 0.8 and later
  set(CORNSTARCH_YAML_CPP yaml-cpp::yaml-cpp)
else()
  set(CORNSTARCH_YAML_CPP yaml-cpp)
endif()

# Empty without CUDA, so that rooms name it in every build.
add_library(cornstarch_cuda INTERFACE)
if(CORNSTARCH_WITH_CUDA)
  include(Cuda)
endif()
if(CORNSTARCH_WITH_TORCH)
  find_package(LibTorch REQUIRED)
endif()
if(CORNSTARCH_WITH_CUDA)
  find_package(NCCL REQUIRED)
  target_link_libraries(cornstarch_cuda INTERFACE LibTorch::cuda NCCL::nccl CUDA::cublasLt CUDA::cudart)
endif()
