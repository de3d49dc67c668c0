#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/launch/environment.h"
#include "cornstarch/launch/host_memory.h"
#include "cornstarch/launch/rendezvous.h"
#include "verbs.h"
#include "version.h"
#include "worker.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;

std::string line(const std::string& name, const std::string& value) {
  return cat("  ", name, std::string(name.size() < 15 ? 15 - name.size() : 1, ' '), value, "\n");
}

std::string launcher_lines(const Result<launch::LaunchContext>& launch) {
  if (!launch) return line("launcher", cat(launch.error().message, "; ", launch.error().help));
  std::string out = launch->world_size == 1
                        ? line("launcher", "none: one process")
                        : line("launcher", cat(launch->source, ": rank ", launch->rank, " of ",
                                               launch->world_size, ", the ", launch->local_rank + 1, ". of ",
                                               launch->local_size, " on this host"));
  for (const std::string& warning : launch->warnings) out += line("", warning);
  if (launch->world_size == 1) return out;
  const auto where = launch::rendezvous(*launch);
  if (!where) return out + line("ranks meet", cat("nowhere on GPUs: ", where.error().message));
  std::vector<std::string> ports;
  for (const int port : where->ports) ports.push_back(std::to_string(port));
  return out +
         line("ranks meet", cat("on GPUs at ", where->host, ", the first free port of ", join(ports, ", ")));
}

/// What the driver says of each GPU, without loading it.
std::vector<std::string> gpus() {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const auto& gpu : fs::directory_iterator("/proc/driver/nvidia/gpus", ignored)) {
    std::ifstream file(gpu.path() / "information");
    for (std::string text; std::getline(file, text);)
      if (text.starts_with("Model:")) out.emplace_back(trim(text.substr(6)));
  }
  return out;
}

std::string host_lines() {
  std::string out = line("host", cat(host_name(), ", ", std::thread::hardware_concurrency(), " cores"));
  if (const auto memory = launch::host_memory())
    out += line("memory", cat(human_bytes(memory->available), " available",
                              memory->of_a_cgroup ? ", what its control group leaves" : ""));
  const std::vector<std::string> found = gpus();
  for (std::size_t i = 0; i < found.size(); ++i) out += line(cat("GPU ", i), found[i]);
  if (found.empty()) out += line("GPUs", "none that a driver knows");
  return out;
}

std::string program_lines() {
  const auto worker = worker_path();
  std::string out =
      line("worker", worker ? worker->string() : cat(worker.error().message, "; ", worker.error().help));
  return out + line("trains on", built_for_cuda() ? "CPUs and GPUs" : "CPUs: built without CUDA");
}

}  // namespace

Run declare_env(Options&) {
  return [] {
    const auto launch = launch::detect();
    const std::string out = cat(version_text(), launcher_lines(launch), host_lines(), program_lines());
    // Under a launcher ranks write at once: one write keeps what each says together.
    return print_out(out);
  };
}

}  // namespace cornstarch::app
