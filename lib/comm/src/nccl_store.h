#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "cornstarch/base/result.h"
#include "cornstarch/launch/rendezvous.h"

namespace c10d {
class Store;
}

namespace cornstarch::comm {

/// Keys and values that all ranks of a run see: LibTorch's TCPStore.
class Store {
 public:
  /// Rank 0 serves it, unless the launcher does. Error 69 where that is not possible, or nobody answers.
  static Result<std::unique_ptr<Store>> connect(const launch::Rendezvous& where, int rank,
                                                std::chrono::milliseconds limit);
  ~Store();

  void set(const std::string& key, const std::string& value);
  /// The value if it is there. Throws Failure (launch) when the store is gone.
  std::optional<std::string> find(const std::string& key);
  /// Adds to a number, which begins at 0; returns the sum. Throws Failure (launch) when the store is gone.
  std::int64_t add(const std::string& key, std::int64_t value);
  /// Waits for it, as long as connect was allowed to take.
  Result<std::string> get(const std::string& key);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::comm
