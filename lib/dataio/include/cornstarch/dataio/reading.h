#pragma once

#include <chrono>
#include <list>
#include <optional>
#include <string>

namespace cornstarch::dataio {

/// Something that is being read, as long as this object is there: whoever waits for it in vain can say for
/// what. A file system that hangs holds its readers for ever.
///
///     const Reading reading("train.jsonl:12: 'seven.png'");
class Reading {
 public:
  struct Entry {
    std::string what;
    std::chrono::steady_clock::time_point since;
  };

  explicit Reading(std::string what);
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  ~Reading();

  /// What has been under way the longest, on any thread of the process.
  static std::optional<Entry> oldest();
  /// Throws Failure (io) if that is more than `deadline`.
  static void require_progress(std::chrono::duration<double> deadline);
  /// For a process that ends without its readers: none of them comes back from a reading to what may no
  /// longer be there.
  static void abandon_all();

 private:
  std::list<Entry>::iterator entry_;
};

}  // namespace cornstarch::dataio
