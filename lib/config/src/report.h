#pragma once

#include <string>

#include "cornstarch/base/diagnostics.h"
#include "source.h"

namespace cornstarch::config {

/// Takes the problems of one load; after so many that nobody reads on, it stops, so that no file can make a
/// report of many times its own size.
class Report {
 public:
  explicit Report(Diagnostics& out) : out_(out) {}

  void error(std::string code, std::string message, const Place& where, std::string help = {}) {
    if (left_ <= 0) return;
    if (--left_ == 0) {
      out_.error("too_many", "there are more problems than are shown here", span_of(whole(where.source)));
    } else {
      out_.error(std::move(code), std::move(message), span_of(where), std::move(help));
    }
  }
  void warning(std::string code, std::string message, const Place& where, std::string help = {}) {
    out_.warning(std::move(code), std::move(message), span_of(where), std::move(help));
  }

 private:
  Diagnostics& out_;
  int left_ = 200;
};

}  // namespace cornstarch::config
