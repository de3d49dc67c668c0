#pragma once

#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/launch/environment.h"

namespace cornstarch::control {

/// What the processes of a run have in common, and nobody else.
struct Key {
  std::string secret;
  std::string job;  ///< tells the run from others with the same secret
};

/// Where the ranks of a run meet: rank 0 listens there, the others come.
struct Meeting {
  Key key;
  std::vector<std::string> hosts;
  std::vector<int> ports = {0};  ///< rank 0 takes the first that is free; 0: any
};

/// As the launcher has it (launch::rendezvous), with the user's secret.
Result<Meeting> meeting(const launch::LaunchContext& launch,
                        const launch::GetEnv& get_env = launch::process_environment);

/// Anywhere, with a secret of its own: for those who have another way to tell the others.
Meeting private_meeting();
/// One line, the secret in it.
std::string to_text(const Meeting& meeting);
Result<Meeting> meeting_of(const std::string& text);

}  // namespace cornstarch::control
