#include "cornstarch/launch/roll_call.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "cornstarch/base/console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"

namespace cornstarch::launch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kWord{1'000};  // for whoever has it to say the line and to end

/// An abstract name: the kernel's, not a file's.
std::pair<sockaddr_un, socklen_t> address_of(const std::string& run, const std::string& who) {
  unsigned long long hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : run) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  const std::string name = cat("cornstarch-train/", ::getuid(), "/", hash, "/", who);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), std::min(name.size(), sizeof address.sun_path - 1));
  return {address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())};
}

template <typename Call>
int open_socket(const std::string& run, const std::string& who, const Call& call) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto [address, size] = address_of(run, who);
  if (fd >= 0 && call(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

/// Any user may connect to an abstract name.
bool is_ours(int connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::getuid();
}

}  // namespace

RollCall::RollCall(const LaunchContext& launch, std::string run, std::string call, milliseconds limit,
                   Say say, End end)
    : launch_(launch),
      run_(std::move(run)),
      call_(std::move(call)),
      limit_(limit),
      say_(std::move(say)),
      end_(std::move(end)),
      socket_(open_socket(run_, std::to_string(launch_.local_rank), ::bind)),
      returned_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!say_) say_ = [](const std::string& line) { console().say(line, log::Level::error); };
  if (!end_) end_ = [](int code) { ::_exit(code); };
  if (socket_ >= 0) ::listen(socket_, 4096);
  thread_ = std::thread([this] { watch(); });
}

RollCall::~RollCall() {
  ::eventfd_write(returned_, 1);
  thread_.join();
  ::close(returned_);
  if (socket_ >= 0) ::close(socket_);
}

std::string RollCall::verdict(const std::vector<int>& missing) const {
  const bool one_host = launch_.local_size == launch_.world_size;
  const std::string limit = describe_duration(limit_);
  const bool knows = one_host && !missing.empty() && socket_ >= 0;
  std::string line = cat("FATAL rank=", knows ? std::to_string(missing.front()) : "?", " host=", host_name(),
                         " code=69 step=? op=\"", call_, "\" msg=");
  if (socket_ < 0) return cat(line, call_, " did not return within ", limit, ": a rank is missing\n");
  if (missing.empty())
    return cat(line, call_, " did not return within ", limit, ": all ", launch_.local_size,
               " ranks of this host are there", one_host ? "" : ", some of another are missing", "\n");
  return cat(line, one_host ? "" : "of this host, local ", describe_ranks(missing),
             missing.size() == 1 ? " is" : " are", " not there, for which ", call_, " waited ", limit, "\n");
}

/// Until the call has returned, until another process whose limit has passed has called the roll and ended,
/// or until the limit.
RollCall::Event RollCall::wait(milliseconds limit) const {
  const auto end = Clock::now() + limit;
  while (true) {
    std::array<pollfd, 2> waiting{{{returned_, POLLIN, 0}, {socket_, POLLIN, 0}}};
    const auto left = std::chrono::ceil<milliseconds>(end - Clock::now()).count();
    ::poll(waiting.data(), waiting.size(), static_cast<int>(std::max(left, decltype(left){0})));
    if (waiting[0].revents != 0) return Event::returned;
    pollfd caller{::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC), POLLIN, 0};
    if (caller.fd < 0 && Clock::now() >= end) return Event::late;
    if (caller.fd < 0) continue;
    const bool called = is_ours(caller.fd);
    if (called) ::poll(&caller, 1, static_cast<int>(kWord.count()));
    ::close(caller.fd);
    if (called) return Event::called;
  }
}

void RollCall::watch() {
  Event event = wait(limit_);
  int word = -1;
  if (event == Event::late) {
    // Of those whose limits pass at once only one has the word.
    word = open_socket(run_, "word", ::bind);
    event = wait(word < 0 ? kWord : milliseconds(0));
  }
  if (event == Event::returned) return;
  std::vector<int> missing, connections{word};
  const bool calls = event == Event::late && socket_ >= 0;  // else the names are another run's
  for (int local = 0; calls && local < launch_.local_size; ++local) {
    if (local == launch_.local_rank) continue;
    const int fd = open_socket(run_, std::to_string(local), ::connect);
    (fd < 0 ? missing : connections).push_back(fd < 0 ? local : fd);
  }
  if (event == Event::late) say_(verdict(missing));
  end_(static_cast<int>(ExitCode::launch));
  for (const int fd : connections) ::close(fd);
}

}  // namespace cornstarch::launch
