#include "cornstarch/control/meeting.h"

#include <sstream>

#include "cornstarch/control/secret.h"
#include "cornstarch/launch/rendezvous.h"

namespace cornstarch::control {

Result<Meeting> meeting(const launch::LaunchContext& launch, const launch::GetEnv& get_env) {
  const auto where = launch::rendezvous(launch, get_env);
  if (!where) return tl::unexpected(where.error());
  auto secret = user_secret(get_env);
  if (!secret) return tl::unexpected(secret.error());
  return Meeting{{std::move(*secret), where->job}, {where->host}, where->ports};
}

Meeting private_meeting() { return {{to_hex(random_bytes(32)), ""}, {}, {0}}; }

std::string to_text(const Meeting& meeting) {
  std::ostringstream out;
  out << meeting.key.secret << ' ' << meeting.ports.front();
  for (const std::string& host : meeting.hosts) out << ' ' << host;
  return out.str();
}

Result<Meeting> meeting_of(const std::string& text) {
  std::istringstream in(text);
  Meeting meeting;
  if (!(in >> meeting.key.secret >> meeting.ports.front()))
    return fail(ExitCode::internal, "what rank 0 told is no place to meet");
  for (std::string host; in >> host;) meeting.hosts.push_back(host);
  return meeting;
}

}  // namespace cornstarch::control
