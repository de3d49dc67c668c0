#include <memory>

#include "console.h"
#include "cornstarch/base/text.h"
#include "place.h"
#include "verbs.h"
#include "version.h"
#include "worker.h"

namespace cornstarch::app {

namespace {

struct Args {
  std::optional<int> local_ranks, size, deadline;
  std::string device = "cpu", format = "text";
};

Result<void> check(const Args& args) {
  if (args.device == "cpu") return {};
  if (!built_for_cuda())
    return fail(ExitCode::usage, "this build has no CUDA: it knows CPUs only",
                "leave out --device cuda, or build with cmake --preset cuda");
  if (args.local_ranks)
    return fail(ExitCode::usage,
                "--local-ranks makes threads of one process, but --device cuda wants a process for each GPU",
                "start the ranks with mpirun, srun or torchrun");
  return {};
}

ExitCode run(const Args& args) {
  const auto place = find_place(args.local_ranks);
  if (!place) return complain(place.error());
  if (const auto checked = check(args); !checked)
    return place->rank == 0 ? complain(checked.error()) : checked.error().code;
  std::vector<std::string> words = {"--selftest", "--device", args.device, "--format", args.format};
  const auto add = [&](const char* name, const std::optional<int>& number) {
    if (number) words.insert(words.end(), {name, std::to_string(*number)});
  };
  add("--local-ranks", args.local_ranks);
  add("--size", args.size);
  add("--deadline", args.deadline);
  return complain(become_worker(words));
}

}  // namespace

Run declare_selftest(Options& options) {
  auto args = std::make_shared<Args>();
  options.count("--local-ranks", args->local_ranks, "Test so many ranks as threads of this process");
  options.choice("--device", args->device, {"cpu", "cuda"}, "What a run will compute on (cpu)");
  options.count("--size", args->size, "Bytes of the largest tensor of an operation (4194304)");
  options.count("--deadline", args->deadline, "Seconds that one operation may take (60)");
  options.choice("--format", args->format, {"text", "json"}, "A table for people, or JSON");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
