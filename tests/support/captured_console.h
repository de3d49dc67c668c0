#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "cornstarch/base/console.h"
#include "cornstarch/base/files.h"

namespace cornstarch::test {

/// A console on a file, with a log beside it.
class CapturedConsole {
 public:
  explicit CapturedConsole(Terminal terminal) : file_(::mkstemp(name_.data())), console_(file_, terminal) {}
  ~CapturedConsole() {
    ::close(file_);
    std::filesystem::remove(name_);
    std::filesystem::remove(log_name());
  }

  Console& operator*() { return console_; }
  Console* operator->() { return &console_; }
  std::string log_name() const { return name_ + ".log"; }
  std::string stream() const { return read_file(name_).value(); }
  std::string log() const { return read_file(log_name()).value(); }

 private:
  std::string name_ = (std::filesystem::temp_directory_path() / "cornstarch-console-XXXXXX").string();
  int file_;
  Console console_;
};

}  // namespace cornstarch::test
