#include "cornstarch/report/page.h"
#include "input.h"
#include "run_files.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch::report;
  const std::string text(reinterpret_cast<const char*>(data), size);
  Run run;
  run.folder = "run";
  run.config = text;
  for (const auto read : {read_metrics, read_answers, read_trace, read_versions, read_plan})
    read(text, "file", run);
  if (!run.steps.steps().empty()) cornstarch::fuzz::require(!data_of({run}, {3, "fuzz"}).empty());
  return 0;
}
