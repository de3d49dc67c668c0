#include "cornstarch/base/files.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "synced.h"
#include "temporary_folder.h"

namespace cornstarch {
namespace {

namespace fs = std::filesystem;

using Folder = test::TemporaryFolder;

TEST_CASE("A file is read whole, up to the limit") {
  const Folder folder;
  const fs::path file = folder.path() / "a";
  std::ofstream(file) << std::string(100000, 'x') << '\0' << "end";
  REQUIRE(read_file(file).has_value());
  CHECK(read_file(file)->size() == 100004);
  CHECK(read_file(file, 100004)->substr(100001) == "end");
  const auto large = read_file(file, 100003);
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().code == ExitCode::bad_data);
  CHECK(large.error().message == cat("'", file.string(), "' is larger than 97.7 KiB, the most that is read"));
  CHECK(read_file("/proc/self/status")->find("Pid:") != std::string::npos);  // a file that claims to be empty
}

TEST_CASE("A missing file is told from one that cannot be read") {
  const Folder folder;
  const auto missing = read_file(folder.path() / "none");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == ExitCode::missing_input);
  CHECK(missing.error().message ==
        "cannot read '" + (folder.path() / "none").string() + "': No such file or directory");
  const auto is_folder = read_file(folder.path());
  REQUIRE_FALSE(is_folder.has_value());
  CHECK(is_folder.error().code == ExitCode::io);
  CHECK(is_folder.error().message == "cannot read '" + folder.path().string() + "': it is a folder");
}

TEST_CASE("What is no file is refused by its name, and nobody is waited for") {
  const Folder folder;
  const auto refusal = [](const fs::path& path) {
    const auto file = open_file(path);
    REQUIRE_FALSE(file.has_value());
    CHECK(file.error().code == ExitCode::io);
    return file.error().message.substr(cat("cannot read '", path.string(), "': ").size());
  };
  const fs::path fifo = folder.path() / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  fs::create_symlink("fifo", folder.path() / "link");
  struct sockaddr_un address{AF_UNIX, {}};
  const std::string name = (folder.path() / "socket").string();
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  const Descriptor listening(::socket(AF_UNIX, SOCK_STREAM, 0));
  REQUIRE(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  CHECK(refusal(fifo) == "it is a FIFO, not a file");
  CHECK(refusal(folder.path() / "link") == "it is a FIFO, not a file");
  CHECK(refusal(name) == "it is a socket, not a file");
  CHECK(refusal("/dev/null") == "it is a device, not a file");
  CHECK(refusal(folder.path()) == "it is a folder");
}

TEST_CASE("A pipe is read if somebody writes to it, and not waited for otherwise") {
  const Folder folder;
  const fs::path pipe = folder.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(read_file(pipe).error().message == "cannot read '" + pipe.string() + "': it is a FIFO, not a file");
  const auto silent = read_file_or_pipe(pipe, 100);
  REQUIRE_FALSE(silent.has_value());
  CHECK(silent.error().code == ExitCode::io);
  CHECK(silent.error().message ==
        "cannot read '" + pipe.string() + "': it is a FIFO, not a file, and nobody writes to it");
  const int reader =
      ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);  // so that opening to write waits for nobody
  const int writer = ::open(pipe.c_str(), O_WRONLY);
  ::close(reader);
  std::jthread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(::write(writer, "content", 7) == 7);
    ::close(writer);
  });
  CHECK(read_file_or_pipe(pipe, 100) == "content");
}

TEST_CASE("Folders are made with those above them") {
  const Folder folder;
  REQUIRE(make_folders(folder.path() / "a" / "b"));
  REQUIRE(make_folders(folder.path() / "a" / "b"));
  CHECK(fs::is_directory(folder.path() / "a" / "b"));
  REQUIRE(write_file_atomically(folder.path() / "file", ""));
  const auto file = make_folders(folder.path() / "file");
  REQUIRE_FALSE(file);
  CHECK(file.error().message == "cannot write '" + (folder.path() / "file").string() + "': Not a directory");
  const auto below = make_folders(folder.path() / "file" / "c");
  REQUIRE_FALSE(below);
  CHECK(below.error().message == "cannot write '" + (folder.path() / "file").string() + "': Not a directory");
}

TEST_CASE("Writing replaces the content and leaves nothing beside it") {
  const Folder folder;
  const fs::path file = folder.path() / "a.json";
  REQUIRE(write_file_atomically(file, "old").has_value());
  REQUIRE(write_file_atomically(file, std::string(70000, 'n')).has_value());
  CHECK(*read_file(file) == std::string(70000, 'n'));
  REQUIRE(
      write_file_atomically(file, std::vector<std::string_view>{"one", "", " behind the other"}).has_value());
  CHECK(*read_file(file) == "one behind the other");
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("What has been written outlives the power: the file, its name, and the folders that are new") {
  const Folder folder;
  const std::string root = folder.path().string();
  test::synced.clear();
  REQUIRE(make_folders(folder.path() / "run" / "model"));
  REQUIRE(write_file_atomically(folder.path() / "run" / "model" / "a", "b"));
  CHECK(test::synced.size() == 4);
  CHECK(test::synced.at(0) == root);
  CHECK(test::synced.at(1) == root + "/run");
  CHECK(test::synced.at(2).starts_with(root + "/run/model/"));  // under a name that it bears for as long
  CHECK(test::synced.at(3) == root + "/run/model");
}

TEST_CASE("A failed write leaves nothing behind") {
  const Folder folder;
  const auto no_folder = write_file_atomically(folder.path() / "none" / "a", "x");
  REQUIRE_FALSE(no_folder.has_value());
  CHECK(no_folder.error().code == ExitCode::io);
  CHECK(no_folder.error().message ==
        "cannot write '" + (folder.path() / "none" / "a").string() + "': No such file or directory");
  fs::create_directories(folder.path() / "dir" / "full");
  CHECK_FALSE(write_file_atomically(folder.path() / "dir", "x").has_value());
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("A dataset cannot name files outside its folder") {
  const Folder folder;
  const fs::path root = folder.path() / "root";
  fs::create_directories(root / "sub");
  std::ofstream(root / "sub" / "a.png") << "x";
  std::ofstream(folder.path() / "secret") << "x";
  fs::create_symlink(folder.path() / "secret", root / "link");
  fs::create_directory_symlink(folder.path(), root / "up");
  fs::create_symlink("sub/a.png", root / "inner");

  CHECK(resolve_inside(root, "sub/a.png") == root / "sub" / "a.png");
  CHECK(resolve_inside(root.string() + "/", "./sub/./a.png") == root / "sub" / "a.png");
  CHECK(resolve_inside(root, "inner") == root / "sub" / "a.png");
  CHECK(resolve_inside(root, "not/there") == root / "not" / "there");
  const auto message = [&](const std::string& relative) {
    const auto result = resolve_inside(root, relative);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == ExitCode::bad_data);
    return result.error().message;
  };
  CHECK(message("/etc/passwd") == "'/etc/passwd' is refused: it is an absolute path");
  CHECK(message("sub/../../secret") == "'sub/../../secret' is refused: it contains '..'");
  CHECK(message("link") == "'link' is refused: a link leads out of the folder");
  CHECK(message("up/secret") == "'up/secret' is refused: a link leads out of the folder");
  CHECK(message("") == "'' is refused: it is no path");
  // A sibling whose name starts with the root's is outside, too.
  fs::create_directories(folder.path() / "root2");
  fs::create_directory_symlink(folder.path() / "root2", root / "sibling");
  CHECK(message("sibling/x") == "'sibling/x' is refused: a link leads out of the folder");
}

}  // namespace
}  // namespace cornstarch
