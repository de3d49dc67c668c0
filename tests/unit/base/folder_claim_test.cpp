#include "cornstarch/base/folder_claim.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <regex>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "temporary_folder.h"

namespace cornstarch {
namespace {

namespace fs = std::filesystem;

using Folder = test::TemporaryFolder;

/// A process that claims the folder, says on a pipe whether it did, and lives until it is killed.
class Claimant {
 public:
  explicit Claimant(const fs::path& folder) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    process_ = ::fork();
    if (process_ == 0) {
      const auto claim = FolderClaim::take(folder);
      const char won = claim ? 'y' : 'n';
      if (::write(ends[1], &won, 1) != 1) ::_exit(1);
      ::pause();
    }
    char won = 0;
    CHECK(::read(ends[0], &won, 1) == 1);
    won_ = won == 'y';
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~Claimant() { kill(); }
  bool won() const { return won_; }
  pid_t process() const { return process_; }
  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(std::exchange(process_, -1), nullptr, 0);
  }

 private:
  pid_t process_ = -1;
  bool won_ = false;
};

TEST_CASE("A folder that another process has claimed is refused until that process ends, however it ends") {
  const Folder folder;
  CHECK(FolderClaim::check_free(folder.path()));
  Claimant other(folder.path());
  REQUIRE(other.won());
  CHECK_FALSE(Claimant(folder.path()).won());
  const auto refused = FolderClaim::take(folder.path());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ExitCode::usage);
  const std::regex wanted(cat("'", folder.path().string(), "' is in use by process ", other.process(),
                              " on [^ ]+, since \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC"));
  CHECK(std::regex_match(refused.error().message, wanted));
  const auto checked = FolderClaim::check_free(folder.path());
  REQUIRE_FALSE(checked);
  CHECK(checked.error().message == refused.error().message);
  other.kill();
  CHECK(FolderClaim::check_free(folder.path()));
  CHECK(FolderClaim::take(folder.path()));
}

TEST_CASE("Within a process, too, a claim is one owner's, until it is gone") {
  const Folder folder;
  {
    auto first = FolderClaim::take(folder.path());
    REQUIRE(first);
    const FolderClaim moved = std::move(*first);
    CHECK_FALSE(FolderClaim::take(folder.path()));
  }
  CHECK(FolderClaim::take(folder.path()));
}

TEST_CASE("A claim goes with its folder") {
  const Folder folder;
  const fs::path path = folder.path() / "run", aside = folder.path() / "run.old";
  fs::create_directory(path);
  const auto claim = FolderClaim::take(path);
  REQUIRE(claim);
  fs::rename(path, aside);
  fs::create_directory(path);
  CHECK(FolderClaim::take(path));
  CHECK_FALSE(FolderClaim::take(aside));
}

TEST_CASE("A folder that is not there cannot be claimed") {
  const auto nowhere = FolderClaim::take("/nowhere");
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().code == ExitCode::io);
  CHECK(nowhere.error().message == "cannot write '/nowhere/.owner': No such file or directory");
  CHECK(FolderClaim::check_free("/nowhere"));
}

}  // namespace
}  // namespace cornstarch
