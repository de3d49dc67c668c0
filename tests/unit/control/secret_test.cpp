#include "cornstarch/control/secret.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/control/meeting.h"
#include "temporary_folder.h"

using namespace cornstarch;
using namespace cornstarch::control;

namespace fs = std::filesystem;

namespace {

using Folder = test::TemporaryFolder;

launch::GetEnv environment(std::map<std::string, std::string> values) {
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

std::string message_of(const Result<std::string>& secret) { return secret ? "none" : secret.error().message; }

}  // namespace

TEST_CASE("the environment's secret comes first, if it is one") {
  CHECK(value_or_throw(user_secret(environment({{"CORNSTARCH_SECRET", "sixteen letters!"}}))) ==
        "sixteen letters!");
  const auto none = user_secret(environment({{"CORNSTARCH_SECRET", "fifteen letters"}}));
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ExitCode::launch);
  CHECK(none.error().message == "CORNSTARCH_SECRET has 15 characters, but a secret has 16 or more");
  CHECK(none.error().help == "set it to what 'openssl rand -hex 32' says, or not at all");
}

TEST_CASE("processes that need the user's secret at once agree on one, which nobody else can read") {
  const Folder folder;
  const auto get_env = environment({{"HOME", folder.path().string()}});
  std::mutex mutex;
  std::set<std::string> secrets;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const auto secret = user_secret(get_env);
      const std::lock_guard lock(mutex);
      secrets.insert(secret ? *secret : secret.error().message);
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(secrets.size() == 1);
  REQUIRE(secrets.begin()->size() == 64);
  const fs::path file = folder.path() / ".config/cornstarch-train/secret";
  struct stat status{};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(std::distance(fs::directory_iterator(file.parent_path()), {}) == 1);
  CHECK(value_or_throw(user_secret(get_env)) == *secrets.begin());
  CHECK(value_or_throw(user_secret(environment({{"XDG_CONFIG_HOME", (folder.path() / "x").string()}}))) !=
        *secrets.begin());
}

TEST_CASE("a secret that others can read, or that is none, is refused") {
  const Folder folder;
  const auto get_env = environment({{"XDG_CONFIG_HOME", folder.path().string()}});
  const fs::path file = folder.path() / "cornstarch-train/secret";
  value_or_throw(user_secret(get_env));
  ::chmod(file.c_str(), 0640);
  const auto open_to_all = user_secret(get_env);
  CHECK(message_of(open_to_all) ==
        cat(file.string(),
            ", the secret by which the ranks of a run know each other, must be a file of "
            "this user's that nobody else may read"));
  CHECK(open_to_all.error().help ==
        "remove it, and a new one is made, or set CORNSTARCH_SECRET, the same for every process of the run "
        "and for "
        "nobody else, to what 'openssl rand -hex 32' says");
  fs::remove(file);
  REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  CHECK(message_of(user_secret(get_env)).find("must be a file") != std::string::npos);
  fs::remove(file);
  std::ofstream(file) << "short\n";
  ::chmod(file.c_str(), 0600);
  CHECK(message_of(user_secret(get_env)) == file.string() + " is too short for a secret");
}

TEST_CASE("where there is no place for a secret, what to do is said") {
  const Folder folder;
  std::ofstream(folder.path() / "file") << "";
  const auto nowhere = user_secret(environment({{"XDG_CONFIG_HOME", (folder.path() / "file").string()}}));
  CHECK(message_of(nowhere) == cat("cannot make ", folder.path().string(),
                                   "/file/cornstarch-train/secret, the secret by which the ranks of a run "
                                   "know each other: Not a directory"));
  CHECK(nowhere.error().help ==
        "set CORNSTARCH_SECRET, the same for every process of the run and for nobody else, to what 'openssl "
        "rand -hex "
        "32' says");
}

TEST_CASE("a meeting is the launcher's place with the user's secret") {
  launch::LaunchContext launch;
  launch.world_size = 4;
  launch.local_size = 2;
  const Meeting place = value_or_throw(meeting(launch, environment({{"CORNSTARCH_SECRET", "sixteen letters!"},
                                                                    {"MASTER_ADDR", "n1"},
                                                                    {"MASTER_PORT", "2000"}})));
  CHECK(place.key.secret == "sixteen letters!");
  CHECK(place.key.job == "MASTER_ADDR=n1 MASTER_PORT=2000 4 ranks");
  CHECK(place.hosts == std::vector<std::string>{"n1"});
  CHECK(place.ports.front() == 2000);
}

TEST_CASE("a private meeting has a secret of its own and travels as a line") {
  Meeting place = private_meeting();
  CHECK(place.key.secret.size() == 64);
  CHECK(place.key.secret != private_meeting().key.secret);
  place.hosts = {"10.0.0.1", "10.1.0.1"};
  place.ports = {4711};
  const Meeting other = value_or_throw(meeting_of(to_text(place) + "   "));
  CHECK(other.key.secret == place.key.secret);
  CHECK(other.hosts == place.hosts);
  CHECK(other.ports == place.ports);
  CHECK_FALSE(meeting_of("   "));
}
