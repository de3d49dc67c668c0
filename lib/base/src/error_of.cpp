#include "cornstarch/base/error_of.h"

#include <new>
#include <string_view>
#include <system_error>

#include "cornstarch/base/text.h"

namespace cornstarch {

Error error_of(const std::exception& exception) {
  if (const auto* failure = dynamic_cast<const Failure*>(&exception)) return failure->error();
  // LibTorch's allocator has no type of error for it.
  const std::string_view what = exception.what();
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr ||
      what.find("can't allocate memory") != std::string_view::npos)
    return {ExitCode::device, "out of memory", {}};
  const auto* of_system = dynamic_cast<const std::system_error*>(&exception);
  if (of_system != nullptr && of_system->code() == std::errc::resource_unavailable_try_again)
    return {ExitCode::device, cat("out of memory or threads: ", what),
            "ulimit -v and ulimit -u say what one process and one user may have"};
  return {ExitCode::internal, std::string(what), "this is a bug: please report it with the config"};
}

}  // namespace cornstarch
