#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cornstarch/launch/environment.h"

namespace cornstarch::launch {

/// Watches over a call in which all processes of a run meet, without a word on who does not come, or that one
/// died there (MPI_Init): after the limit the first process of each host whose limit it is says which of its
/// host's ranks are missing, and all end with code 69. Each process is known by a socket without a file,
/// which ends with it.
class RollCall {
 public:
  using Say = std::function<void(const std::string&)>;
  using End = std::function<void(int)>;

  /// `run`: the same for all processes of the run (Rendezvous::job). `say`, `end`: default stderr, _exit.
  RollCall(const LaunchContext& launch, std::string run, std::string call, std::chrono::milliseconds limit,
           Say say = {}, End end = {});
  ~RollCall();  ///< the call has returned

 private:
  enum class Event { returned, called, late };

  void watch();
  Event wait(std::chrono::milliseconds limit) const;
  std::string verdict(const std::vector<int>& missing) const;

  LaunchContext launch_;
  std::string run_, call_;
  std::chrono::milliseconds limit_;
  Say say_;
  End end_;
  int socket_;
  int returned_;  ///< an event
  std::thread thread_;
};

}  // namespace cornstarch::launch
