#include "worker.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "cornstarch/base/text.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;

Error os_error(const std::string& what) {
  return {ExitCode::device, cat(what, ": ", std::strerror(errno)), ""};
}

/// A file without a name that holds the text and stays open across exec.
Result<int> inherited_file(const std::string& text) {
  const int descriptor = ::memfd_create("cornstarch-config", 0);
  if (descriptor < 0) return tl::unexpected(os_error("cannot create a file in memory"));
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(descriptor, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return tl::unexpected(os_error("cannot write to a file in memory"));
    done += static_cast<std::size_t>(written);
  }
  ::lseek(descriptor, 0, SEEK_SET);
  return descriptor;
}

}  // namespace

Result<fs::path> worker_path() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(ExitCode::device, cat("cannot read /proc/self/exe: ", error.message()));
  const fs::path folder = self.parent_path();
  const std::vector<fs::path> places = {folder / "cornstarch-worker",
                                        folder.parent_path() / "libexec" / "cornstarch-worker"};
  for (const fs::path& place : places) {
    if (::access(place.c_str(), X_OK) == 0) return place;
  }
  return fail(ExitCode::device,
              cat("cornstarch-worker, which does the training, is not there; looked for ", places[0].string(),
                  " and ", places[1].string()),
              "build it (CORNSTARCH_WITH_TORCH=ON) and keep it beside cornstarch-train");
}

Error become_worker(std::vector<std::string> words) {
  const auto worker = worker_path();
  if (!worker) return worker.error();
  words.insert(words.begin(), worker->string());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(worker->c_str(), arguments.data());
  return os_error(cat("cannot start ", worker->string()));
}

Error become_worker(const std::string& verb, const std::string& config_yaml, std::vector<std::string> words) {
  const auto config = inherited_file(config_yaml);
  if (!config) return config.error();
  words.insert(words.begin(), {verb, "--config-fd", std::to_string(*config)});
  return become_worker(std::move(words));
}

Error become_worker(const WorkerStart& start) {
  const auto config = inherited_file(start.config_yaml), said = inherited_file(start.said);
  if (!config) return config.error();
  if (!said) return said.error();

  std::vector<std::string> words = {"--config-fd", std::to_string(*config), "--said-fd",
                                    std::to_string(*said)};
  if (start.local_ranks) words.insert(words.end(), {"--local-ranks", std::to_string(*start.local_ranks)});
  if (start.overwrite) words.emplace_back("--overwrite");
  if (start.traced_steps) {
    const auto [first, last] = *start.traced_steps;
    words.insert(words.end(), {"--trace", std::to_string(first), std::to_string(last)});
  }
  if (!start.export_from.empty()) words.insert(words.end(), {"--export", start.export_from, start.export_to});
  if (start.merge) words.emplace_back("--merge");
  return become_worker(words);
}

}  // namespace cornstarch::app
