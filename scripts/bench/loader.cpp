// bench-loader PICTURES...: JPEGs to what CLIP-336 takes, as a run's loader makes it, on one core: prints how
// many a minute of its time.

#include <cstdio>
#include <ctime>

#include "cornstarch/base/files.h"
#include "cornstarch/dataio/image.h"
#include "cornstarch/dataio/preprocess.h"

int main(int argc, char** argv) {
  using namespace cornstarch;
  const auto clip = value_or_throw(dataio::ImagePreprocessor::parse("", {3, 336, 336}));
  const std::clock_t begin = std::clock();
  for (int i = 1; i < argc; ++i)
    if (value_or_throw(clip(value_or_throw(dataio::read_image(argv[i])))).values.size() != 3 * 336 * 336)
      return 1;
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%.1f\n", 60 * (argc - 1) / seconds);
}
