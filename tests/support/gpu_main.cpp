// main of the test programs that need a GPU: says so where there is none.
#include <c10/cuda/CUDAFunctions.h>

#include <cstdio>
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_session.hpp>
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#endif

int main(int argc, char** argv) {
  if (c10::cuda::device_count() == 0) {
    std::puts("skipped: there is no CUDA device here");
    return 0;
  }
  return Catch::Session().run(argc, argv);
}
