#include "console.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cornstarch/base/text.h"

namespace cornstarch::app {

ExitCode print_out(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return ExitCode::ok;
  return complain({ExitCode::io, cat("cannot write to standard output: ", std::strerror(errno)), ""});
}

ExitCode complain(const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message.c_str());
  if (!error.help.empty()) std::fprintf(stderr, "  help: %s\n", error.help.c_str());
  return error.code;
}

}  // namespace cornstarch::app
