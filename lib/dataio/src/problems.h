#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {

/// What is wrong with samples, as far as it is shown: the first 20, each with its place.
class Problems {
 public:
  void add(const Error& error, const std::string& where) {
    if (count_++ == 0) code_ = error.code;
    if (full()) return;
    shown_.push_back(where.empty() ? error.message : cat(where, ": ", error.message));
    if (!error.help.empty() && std::find(helps_.begin(), helps_.end(), error.help) == helps_.end())
      helps_.push_back(error.help);
  }
  /// One more that is only counted.
  void count() { ++count_; }
  bool full() const { return shown_.size() >= kShown; }
  std::size_t size() const { return count_; }

  /// All of them in one error, `title` above them if it says something.
  Error error(const std::string& title = {}) const {
    std::string text = title.empty() ? join(shown_, "\n") : cat(title, "\n", join(shown_, "\n"));
    if (count_ > shown_.size()) text += cat("\nand ", count_ - shown_.size(), " more");
    return {code_, text, join(helps_, "\n")};
  }

 private:
  static constexpr std::size_t kShown = 20;
  ExitCode code_ = ExitCode::bad_data;
  std::size_t count_ = 0;
  std::vector<std::string> shown_, helps_;
};

}  // namespace cornstarch::dataio
