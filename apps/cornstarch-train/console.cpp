#include "console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"

namespace cornstarch::app {

namespace {

std::string shell_word(const std::string& word) {
  const bool plain = word.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                         "_@%+=:,./-") == std::string::npos;
  if (plain && !word.empty()) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace

ExitCode print_out(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (written && std::fflush(stdout) == 0) return ExitCode::ok;
  return complain({ExitCode::io, cat("cannot write to standard output: ", std::strerror(errno)), ""});
}

std::size_t columns() {
  constexpr std::size_t kElsewhere = 110, kLeast = 40, kMost = 120;
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 0 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return kElsewhere;
  return std::clamp<std::size_t>(size.ws_col, kLeast, kMost);
}

std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!text.empty()) text.pop_back();  // each word ends in NUL
  std::vector<std::string> words;
  for (const std::string& word : split(text, '\0')) words.push_back(shell_word(word));
  return join(words, " ");
}

ExitCode complain(const Error& error) {
  std::fprintf(stderr, "error: %s\n", harmless(error.message).c_str());
  if (!error.help.empty()) std::fprintf(stderr, "  help: %s\n", harmless(error.help).c_str());
  return error.code;
}

}  // namespace cornstarch::app
