#include "cornstarch/telemetry/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <regex>
#include <sstream>

#include "catch.h"
#include "synced.h"

using namespace cornstarch;
using namespace cornstarch::telemetry;

namespace {

const WallTime kTime = std::chrono::system_clock::from_time_t(1795791052) + std::chrono::milliseconds(7);

StepRecord record() {
  return {.step = 7,
          .loss = 0.1,
          .grad_norm = 1.0 / 3.0,
          .lr = 1e-3,
          .tokens = 2048,
          .target_tokens = 96,
          .step_time_s = 0.25,
          .tokens_per_s = 8192,
          .model_flops = 1e12,
          .model_flops_full_attention = 1.5e12,
          .previous_step = {}};
}

struct TemporaryFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("cornstarch-metrics-" + std::to_string(::getpid()));
  TemporaryFolder() { std::filesystem::create_directories(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};

/// With every time of the clock as kTime.
std::string content(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return std::regex_replace(text.str(), std::regex("20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}Z"),
                            "2026-11-27T14:50:52.007Z");
}

}  // namespace

TEST_CASE("A step is one line of JSON with its keys in order and doubles that read back the same") {
  CHECK(
      to_json_line(record(), kTime) ==
      R"({"time":"2026-11-27T14:50:52.007Z","step":7,"loss":0.1,"grad_norm":0.3333333333333333,"lr":0.001,"tokens":2048,"target_tokens":96,)"
      R"("step_time_s":0.25,"tokens_per_s":8192.0,"model_flops":1000000000000.0,)"
      R"("model_flops_full_attention":1500000000000.0})");
  StepRecord awkward = record();
  for (const double value : {std::nextafter(2.5, 3.0), 5e-324, 1.7976931348623157e308, 0.1 + 0.2}) {
    awkward.loss = value;
    const std::string line = to_json_line(awkward, kTime);
    const std::string loss = line.substr(line.find("\"loss\":") + 7);
    CHECK(std::strtod(loss.c_str(), nullptr) == value);
  }
}

TEST_CASE("The utilisation is written where it is known") {
  StepRecord step = record();
  step.mfu = 0.5;
  step.mfu_full_attention = 0.5625;
  CHECK(to_json_line(step, kTime).find(R"(000.0,"mfu":0.5,"mfu_full_attention":0.5625})") !=
        std::string::npos);
}

TEST_CASE("The times of the step before are written stage by stage") {
  StepRecord step = record();
  step.previous_step = {{"llm stage 0", 0.5, 0.25, 0.125, 1024}};
  const std::string line = to_json_line(step, kTime);
  CHECK(line.substr(line.find("\"previous_step\"")) ==
        R"("previous_step":[{"stage":"llm stage 0","compute_s":0.5,"bubble_s":0.25,"communication_s":0.125,)"
        R"("peak_memory_bytes":1024.0}]})");
}

TEST_CASE("Skipped samples are written only if there are any") {
  StepRecord step = record();
  CHECK(to_json_line(step, kTime).find("skipped_samples") == std::string::npos);
  step.skipped_samples = 2;
  CHECK(to_json_line(step, kTime).find(R"(000.0,"skipped_samples":2})") != std::string::npos);
}

TEST_CASE("An evaluation has keys of its own") {
  CHECK(
      to_json_line(EvalRecord{100, 0.5, 0.9375, 512}, kTime) ==
      R"({"time":"2026-11-27T14:50:52.007Z","step":100,"eval_loss":0.5,"eval_accuracy":0.9375,"eval_samples":512})");
}

TEST_CASE("What JSON cannot say becomes null") {
  StepRecord step = record();
  step.loss = std::numeric_limits<double>::quiet_NaN();
  step.grad_norm = std::numeric_limits<double>::infinity();
  CHECK(to_json_line(step, kTime).find(R"("loss":null,"grad_norm":null,)") != std::string::npos);
}

TEST_CASE("Lines are in the file as soon as they are written, and a second opening appends") {
  const TemporaryFolder folder;
  const auto path = folder.path / "metrics.jsonl";
  const std::string line = to_json_line(record(), kTime) + "\n";
  {
    auto file = MetricsFile::open(path);
    REQUIRE(file);
    REQUIRE(file->write(record()));
    CHECK(content(path) == line);
    MetricsFile moved = std::move(*file);
    REQUIRE(moved.write(EvalRecord{7, 1, 0, 3}));
  }
  auto again = MetricsFile::open(path);
  REQUIRE(again);
  REQUIRE(again->write(record()));
  CHECK(
      content(path) ==
      line +
          R"({"time":"2026-11-27T14:50:52.007Z","step":7,"eval_loss":1.0,"eval_accuracy":0.0,"eval_samples":3})" +
          "\n" + line);
}

TEST_CASE("A line that a crash cut short does not swallow the next one") {
  const TemporaryFolder folder;
  const auto path = folder.path / "metrics.jsonl";
  std::ofstream(path) << R"({"step":1,"lo)";
  auto file = MetricsFile::open(path);
  REQUIRE(file);
  REQUIRE(file->write(EvalRecord{1, 1, 0, 3}));
  CHECK(content(path) ==
        R"({"step":1,"lo)"
        "\n"
        R"({"time":"2026-11-27T14:50:52.007Z","step":1,"eval_loss":1.0,"eval_accuracy":0.0,"eval_samples":3})"
        "\n");
}

TEST_CASE("Nor does one that a full disk cut short") {
  const TemporaryFolder folder;
  const auto path = folder.path / "metrics.jsonl";
  auto file = MetricsFile::open(path);
  REQUIRE(file);
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit low{11, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &low);
  const auto cut = file->write(record());
  const auto nothing = file->write(record());
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK_FALSE(cut);
  CHECK_FALSE(nothing);
  REQUIRE(file->write(record()));
  CHECK(content(path) == "{\"time\":\"20\n" + to_json_line(record(), kTime) + "\n");
}

TEST_CASE("Lines of a run that has ended are on the disk") {
  const TemporaryFolder folder;
  const std::string path = folder.path / "metrics.jsonl";
  {
    auto file = MetricsFile::open(path);
    REQUIRE(file);
    REQUIRE(file->write(record()));
    test::synced.clear();
  }
  CHECK(test::synced == std::vector<std::string>{path});
}

TEST_CASE("Lines that nobody will find are said to be lost") {
  const TemporaryFolder folder;
  const auto path = folder.path / "run" / "metrics.jsonl";
  std::filesystem::create_directory(path.parent_path());
  auto file = MetricsFile::open(path);
  REQUIRE(file);
  REQUIRE(file->write(record()));
  std::filesystem::rename(path.parent_path(), folder.path / "elsewhere");
  const auto moved = file->write(record());
  REQUIRE_FALSE(moved);
  CHECK(moved.error().code == ExitCode::io);
  CHECK(moved.error().message == "'" + path.string() + "' was deleted or moved while the run writes to it");
  std::filesystem::rename(folder.path / "elsewhere", path.parent_path());
  CHECK(file->write(record()));
  std::filesystem::remove_all(path.parent_path());
  CHECK_FALSE(file->write(record()));
}

TEST_CASE("Failures to open and to write name the file and the reason") {
  const auto missing = MetricsFile::open("/nonexistent/metrics.jsonl");
  REQUIRE(!missing);
  CHECK(missing.error().code == ExitCode::io);
  CHECK(missing.error().message == "cannot open '/nonexistent/metrics.jsonl': No such file or directory");

  auto full = MetricsFile::open("/dev/full");
  REQUIRE(full);
  const auto written = full->write(record());
  REQUIRE(!written);
  CHECK(written.error().message == "cannot write '/dev/full': No space left on device");
}
