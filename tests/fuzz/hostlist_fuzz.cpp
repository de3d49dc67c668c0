#include "cornstarch/launch/environment.h"
#include "input.h"

/// Any text names at most 100,000 hosts, none of them with a bracket or a comma left, or is refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using cornstarch::fuzz::require;
  const auto hosts = cornstarch::launch::expand_hostlist({reinterpret_cast<const char*>(data), size});
  if (!hosts) return 0;
  require(!hosts->empty() && hosts->size() <= 100'000);
  for (const std::string& host : *hosts) require(host.find_first_of("[],") == std::string::npos);
  return 0;
}
