#include "run_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "temporary_folder.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;

using Folder = test::TemporaryFolder;

Result<RunFolder> create(const fs::path& path, bool overwrite, const std::string& config = "config") {
  return RunFolder::create(path, overwrite, config, "plan", "versions");
}

TEST_CASE("A folder that holds a run is refused, or moved aside") {
  const Folder folder;
  const fs::path path = folder.path() / "run";
  REQUIRE(create(path / "", false, "first"));
  const auto refused = create(path, false);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ExitCode::usage);
  CHECK(refused.error().message == cat("the run folder '", path.string(), "' already holds a run"));
  REQUIRE(create(path, true, "second"));
  REQUIRE(create(path, true, "third"));
  CHECK(*read_file(path / "config.yaml") == "third");
  CHECK(*read_file(folder.path() / "run.old-1" / "config.yaml") == "first");
  CHECK(*read_file(folder.path() / "run.old-2" / "config.yaml") == "second");
}

TEST_CASE("A folder that a run writes to is refused, whatever is asked") {
  const Folder folder;
  const fs::path path = folder.path() / "run";
  const auto running = create(path, false);
  REQUIRE(running);
  for (const bool overwrite : {false, true}) {
    const auto refused = create(path, overwrite);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ExitCode::usage);
    CHECK(refused.error().message.starts_with(
        cat("the run folder '", path.string(), "' is in use by process ", ::getpid(), " on ")));
    CHECK(refused.error().help == "wait for the end of that run, or --set run_dir=... for another folder");
  }
  CHECK_FALSE(fs::exists(folder.path() / "run.old-1"));
}

TEST_CASE("A folder of checkpoints is one run's") {
  const Folder folder;
  const fs::path dir = folder.path() / "shared" / "checkpoints";
  CHECK(check_checkpoints_free(dir));
  {
    const auto own = claim_checkpoints(dir);
    REQUIRE(own);
    REQUIRE(own->has_value());
    const auto second = claim_checkpoints(dir);
    const auto free = check_checkpoints_free(dir);
    REQUIRE_FALSE(second);
    REQUIRE_FALSE(free);
    CHECK(second.error().code == ExitCode::usage);
    CHECK(second.error().message.starts_with(
        cat("the checkpoint folder '", dir.string(), "' is in use by process ", ::getpid(), " on ")));
    CHECK(second.error().message == free.error().message);
    CHECK(second.error().help == "wait for the end of that run, or give checkpoint.dir another folder");
  }
  CHECK(claim_checkpoints(dir).value().has_value());
  std::ofstream(folder.path() / "file") << "no folder";
  const auto nowhere = claim_checkpoints(folder.path() / "file" / "checkpoints");
  REQUIRE(nowhere);
  CHECK_FALSE(nowhere->has_value());
}

TEST_CASE("Of several processes that start at once exactly one gets the folder") {
  const bool overwrite = GENERATE(false, true);
  for (int round = 0; round < 20; ++round) {
    const Folder folder;
    const fs::path path = folder.path() / "run";
    if (overwrite) REQUIRE(create(path, false));
    int go[2], done[2], end[2];
    for (int* const pipe : {go, done, end}) REQUIRE(::pipe(pipe) == 0);
    constexpr int kStarts = 8;
    for (int i = 0; i < kStarts; ++i) {
      if (::fork() != 0) continue;
      char c;
      ::close(go[1]);
      ::close(end[1]);
      if (::read(go[0], &c, 1) != 0) ::_exit(1);  // until all have been started
      const auto own = create(path, overwrite);
      c = own ? 'y' : 'n';
      if (::write(done[1], &c, 1) != 1) ::_exit(1);
      ::_exit(::read(end[0], &c, 1) == 0 ? 0 : 1);  // until all have tried
    }
    ::close(go[1]);
    int winners = 0;
    char c;
    for (int i = 0; i < kStarts; ++i) winners += ::read(done[0], &c, 1) == 1 && c == 'y' ? 1 : 0;
    ::close(end[1]);
    for (int i = 0; i < kStarts; ++i) ::wait(nullptr);
    for (const int fd : {go[0], done[0], done[1], end[0]}) ::close(fd);
    CHECK(winners == 1);
  }
}

}  // namespace
}  // namespace cornstarch::train
