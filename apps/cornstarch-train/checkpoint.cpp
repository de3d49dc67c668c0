#include "cornstarch/checkpoint/checkpoint.h"

#include <filesystem>
#include <memory>

#include "console.h"
#include "cornstarch/base/checked.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "verbs.h"
#include "worker.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;

struct Args {
  std::string action, folder, to;
  bool merge = false;
};

/// Where a user's word leads to: a folder of checkpoints, or that of a run, which has one.
fs::path folder_of_checkpoints(const fs::path& given) {
  const fs::path within = given / "checkpoints";
  return fs::is_directory(within) ? within : given;
}

bool names_one(const fs::path& path) { return fs::exists(path / "manifest.json"); }

/// The checkpoint that a user means: itself, or the newest whole one of a folder of them.
Result<fs::path> find_one(const fs::path& given) {
  if (names_one(given)) return given;
  for (const checkpoint::Listed& each : checkpoint::list(folder_of_checkpoints(given)))
    if (each.manifest) return each.path;
  return fail(ExitCode::missing_input, cat("there is no whole checkpoint in '", given.string(), "'"),
              "give a run's folder, its folder of checkpoints, or one of these");
}

std::int64_t bytes_of(const checkpoint::Manifest& manifest) {
  std::int64_t bytes = 0;
  for (const checkpoint::Part& part : manifest.parts) bytes += part.bytes;
  return bytes;
}

std::string line_of(const checkpoint::Listed& each) {
  const std::string name = each.path.filename().string();
  if (!each.manifest) return cat(name, "  not whole: ", each.manifest.error().message, "\n");
  const checkpoint::Manifest& m = *each.manifest;
  return cat(name, "  ", m.samples, " samples  ", m.world_size, m.world_size == 1 ? " rank  " : " ranks  ",
             human_bytes(static_cast<double>(bytes_of(m))), "\n");
}

ExitCode list(const fs::path& given) {
  const auto all = checkpoint::list(folder_of_checkpoints(given));
  if (all.empty())
    return complain({ExitCode::missing_input, cat("there is no checkpoint in '", given.string(), "'"),
                     "give a run's folder, or its folder of checkpoints"});
  std::string out;
  for (const checkpoint::Listed& each : all) out += line_of(each);
  return print_out(out);
}

ExitCode verify(const fs::path& path) {
  auto opened = Checkpoint::open(path);
  if (!opened) return complain(opened.error());
  const std::vector<std::string> problems = opened->verify();
  for (const std::string& problem : problems) complain({ExitCode::bad_data, problem, ""});
  if (!problems.empty()) return ExitCode::bad_data;
  return print_out(cat(path.string(), " is whole: ", opened->tensors().size(), " tensors of ",
                       opened->manifest().parts.size(), " parts, ",
                       human_bytes(static_cast<double>(bytes_of(opened->manifest()))), "\n"));
}

ExitCode show(const fs::path& path) {
  const auto opened = Checkpoint::open(path);
  if (!opened) return complain(opened.error());
  const checkpoint::Manifest& m = opened->manifest();
  std::string out = cat("step ", m.step, ", ", m.samples, " samples, written by ", m.world_size,
                        m.world_size == 1 ? " rank" : " ranks", " of cornstarch-train ", m.trainer, "\n\n");
  for (const checkpoint::Reference& reference : m.references)
    out += cat("weights of ", reference.modality, " that do not train are in ", reference.folder, "\n");
  for (const auto& [name, tensor] : opened->tensors())
    out += cat(name, "  ", formats::name_of(tensor.dtype), " ", describe_shape(tensor.shape), "\n");
  return print_out(cat(out, "\n", m.config));
}

/// The worker makes models of weights.
ExitCode export_model(const fs::path& path, const std::string& to, bool merge) {
  if (to.empty())
    return complain({ExitCode::usage, "checkpoint export: --to is missing", "--to FOLDER, which it makes"});
  const auto opened = Checkpoint::open(path);
  if (!opened) return complain(opened.error());
  WorkerStart start;
  start.config_yaml = opened->manifest().config;
  start.export_from = path.string();
  start.export_to = to;
  start.merge = merge;
  return complain(become_worker(start));
}

ExitCode run(const Args& args) {
  if (args.action.empty() || args.folder.empty())
    return complain({ExitCode::usage, "checkpoint: say what to do with which",
                     "cornstarch-train checkpoint list|verify|show|export FOLDER"});
  if (args.action == "list") return list(args.folder);
  const auto path = find_one(args.folder);
  if (!path) return complain(path.error());
  if (args.action == "verify") return verify(*path);
  return args.action == "show" ? show(*path) : export_model(*path, args.to, args.merge);
}

}  // namespace

Run declare_checkpoint(Options& options) {
  auto args = std::make_shared<Args>();
  options.word("action", args->action, {"list", "verify", "show", "export"}, "What to do");
  options.word("folder", args->folder, {},
               "A checkpoint, or a run's folder or that of its checkpoints: then the newest");
  options.text("--to", args->to, "export: the folder for a Hugging Face folder of each modality",
               Flag::Takes::file);
  options.flag("--merge", args->merge, "export: whole models, adapters added to their weights");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
