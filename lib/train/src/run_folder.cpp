#include "run_folder.h"

#include <utility>

#include "cornstarch/base/files.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"

namespace cornstarch::train {
namespace fs = std::filesystem;
namespace {

constexpr const char* kAnswers = "answers.jsonl";

bool holds_run(const fs::path& path) {
  return fs::exists(path / "metrics.jsonl") || fs::exists(path / "plan.json") ||
         fs::exists(path / "config.yaml");
}

fs::path free_name(const fs::path& path) {
  for (int n = 1;; ++n) {
    fs::path candidate = path;
    candidate += cat(".old-", n);
    if (!fs::exists(candidate)) return candidate;
  }
}

tl::unexpected<Error> in_use(const Error& error) {
  return fail(error.code, cat("the run folder ", error.message),
              "wait for the end of that run, or --set run_dir=... for another folder");
}

tl::unexpected<Error> holds_one(const fs::path& path) {
  return fail(ExitCode::usage, cat("the run folder '", path.string(), "' already holds a run"),
              "pass --overwrite to move the old run aside, or --set run_dir=... for another folder");
}

Result<FolderClaim> make_and_claim(const fs::path& path) {
  if (const auto made = make_folders(path / "model"); !made) return tl::unexpected(made.error());
  auto claim = FolderClaim::take(path);
  return claim || claim.error().code != ExitCode::usage ? std::move(claim) : in_use(claim.error());
}

/// A folder of our own, without a run in it.
Result<FolderClaim> claim_empty(const fs::path& path, bool overwrite) {
  if (const auto free = FolderClaim::check_free(path); !free) return in_use(free.error());
  if (holds_run(path) && !overwrite) return holds_one(path);
  auto claim = make_and_claim(path);
  if (!claim || !holds_run(path)) return claim;
  if (!overwrite) return holds_one(path);  // a whole run has passed in between
  std::error_code error;
  fs::rename(path, free_name(path), error);
  if (error) return fail(ExitCode::io, cat("cannot move '", path.string(), "' aside: ", error.message()));
  return make_and_claim(path);
}

tl::unexpected<Error> checkpoints_in_use(const Error& error) {
  return fail(error.code, cat("the checkpoint folder ", error.message),
              "wait for the end of that run, or give checkpoint.dir another folder");
}

}  // namespace

Result<void> check_checkpoints_free(const fs::path& dir) {
  if (const auto free = FolderClaim::check_free(dir); !free) return checkpoints_in_use(free.error());
  return {};
}

Result<std::optional<FolderClaim>> claim_checkpoints(const fs::path& dir) {
  const auto made = make_folders(dir);
  auto claim = made ? FolderClaim::take(dir) : tl::unexpected(made.error());
  if (claim) return std::move(*claim);
  if (claim.error().code == ExitCode::usage) return checkpoints_in_use(claim.error());
  log::warning(cat(claim.error().message, "; nothing keeps another run out of the checkpoint folder"));
  return std::nullopt;
}

Result<RunFolder> RunFolder::create(const fs::path& given, bool overwrite, const std::string& config_yaml,
                                    const std::string& plan_json, const std::string& versions_json) {
  fs::path path = fs::absolute(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "runs/demo/"
  auto claim = claim_empty(path, overwrite);
  if (!claim) return tl::unexpected(claim.error());
  return fill(std::move(path), std::move(*claim), config_yaml, plan_json, versions_json);
}

Result<RunFolder> RunFolder::take_up(const fs::path& path, const std::string& config_yaml,
                                     const std::string& plan_json, const std::string& versions_json) {
  auto claim = make_and_claim(path);
  if (!claim) return tl::unexpected(claim.error());
  return fill(path, std::move(*claim), config_yaml, plan_json, versions_json);
}

Result<RunFolder> RunFolder::fill(fs::path path, FolderClaim claim, const std::string& config_yaml,
                                  const std::string& plan_json, const std::string& versions_json) {
  for (const auto& [name, content] :
       {std::pair{"config.yaml", &config_yaml}, std::pair{"plan.json", &plan_json},
        std::pair{"versions.json", &versions_json}})
    if (auto w = write_file_atomically(path / name, *content); !w) return tl::unexpected(w.error());
  auto metrics = telemetry::MetricsFile::open(path / "metrics.jsonl");
  if (!metrics) return tl::unexpected(metrics.error());
  return RunFolder(std::move(path), std::move(claim), std::move(*metrics));
}

Result<void> RunFolder::go_on_behind(std::int64_t step) {
  auto metrics = telemetry::MetricsFile::open_behind(path_ / "metrics.jsonl", step);
  if (!metrics) return tl::unexpected(metrics.error());
  metrics_ = std::move(*metrics);
  const fs::path answers = path_ / kAnswers;
  if (!fs::exists(answers)) return {};
  auto kept = telemetry::MetricsFile::open_behind(answers, step);
  if (!kept) return tl::unexpected(kept.error());
  answers_ = std::move(*kept);
  return {};
}

Result<void> RunFolder::add_answer(std::string line) {
  if (!answers_) {
    auto opened = telemetry::MetricsFile::open(path_ / kAnswers);
    if (!opened) return tl::unexpected(opened.error());
    answers_ = std::move(*opened);
  }
  return answers_->append(std::move(line));
}

}  // namespace cornstarch::train
