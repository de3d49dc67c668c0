#include "versions.h"

#include <sys/utsname.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cornstarch/base/text.h"
#include "device.h"

namespace cornstarch::train {
namespace {

/// "Intel(R) Xeon(R) Processor @ 2.10GHz"; "" where the kernel does not say.
std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) return std::string(trim(line.substr(line.find(':') + 1)));
  return "";
}

}  // namespace

std::string versions_json(const std::vector<std::pair<std::string, std::string>>& built_with,
                          const comm::Communicator& comm, at::Device device, const std::string& launcher) {
  nlohmann::ordered_json out;
  for (const auto& [name, version] : built_with)
    if (!version.empty()) out[name] = version;
  out["messages"] = comm.backend();
  utsname system{};
  ::uname(&system);
  out["host"] = system.nodename;
  out["system"] = cat(system.sysname, " ", system.release, " ", system.machine);
  out["processor"] = processor();
  out["cores"] = std::thread::hardware_concurrency();
  if (device.is_cuda()) out["gpu"] = gpu_name(device);
  out["launcher"] = launcher;
  out["ranks"] = comm.size();
  return out.dump(2) + "\n";
}

}  // namespace cornstarch::train
