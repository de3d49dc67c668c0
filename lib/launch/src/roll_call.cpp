#include "cornstarch/launch/roll_call.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cornstarch/base/console.h"
#include "cornstarch/base/text.h"

namespace cornstarch::launch {
namespace {

/// An abstract name: the kernel's, not a file's.
std::pair<sockaddr_un, socklen_t> address_of(const std::string& run, int local_rank) {
  unsigned long long hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : run) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  const std::string name = cat("cornstarch-train/", ::getuid(), "/", hash, "/", local_rank);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), std::min(name.size(), sizeof address.sun_path - 1));
  return {address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())};
}

template <typename Call>
int open_socket(const std::string& run, int local_rank, const Call& call) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto [address, size] = address_of(run, local_rank);
  if (fd >= 0 && call(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

std::string list(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size(); ++i) text += cat(i ? ", " : "", ranks[i]);
  return text;
}

}  // namespace

RollCall::RollCall(const LaunchContext& launch, std::string run, std::string call,
                   std::chrono::milliseconds limit, Say say, End end)
    : launch_(launch),
      run_(std::move(run)),
      call_(std::move(call)),
      limit_(limit),
      say_(std::move(say)),
      end_(std::move(end)) {
  if (!say_) say_ = [](const std::string& line) { console().say(line, log::Level::error); };
  if (!end_) end_ = [](int code) { ::_exit(code); };
  socket_ = open_socket(run_, launch_.local_rank, ::bind);
  if (socket_ >= 0) ::listen(socket_, 4096);
  thread_ = std::thread([this] { watch(); });
}

RollCall::~RollCall() {
  {
    const std::lock_guard lock(mutex_);
    has_returned_ = true;
  }
  returned_.notify_all();
  thread_.join();
  if (socket_ >= 0) ::close(socket_);
}

std::vector<int> RollCall::missing() const {
  std::vector<int> missing;
  for (int local = 0; local < launch_.local_size; ++local) {
    if (local == launch_.local_rank) continue;
    const int fd = open_socket(run_, local, ::connect);
    if (fd < 0) missing.push_back(local);
    if (fd >= 0) ::close(fd);
  }
  return missing;
}

std::string RollCall::verdict(const std::vector<int>& missing) const {
  const bool one_host = launch_.local_size == launch_.world_size;
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3g s", static_cast<double>(limit_.count()) / 1000);
  const bool knows = one_host && !missing.empty() && socket_ >= 0;
  std::string line = cat("FATAL rank=", knows ? std::to_string(missing.front()) : "?", " host=", host_name(),
                         " code=69 step=? op=\"", call_, "\" msg=");
  if (socket_ < 0) return cat(line, call_, " did not return within ", seconds, ": a rank is missing\n");
  if (missing.empty())
    return cat(line, call_, " did not return within ", seconds, ": all ", launch_.local_size,
               " ranks of this host are there", one_host ? "" : ", some of another are missing", "\n");
  return cat(line, one_host ? list(missing) : cat("of this host, local ", list(missing)),
             missing.size() == 1 ? " is" : " are", " not there, for which ", call_, " waited ", seconds,
             "\n");
}

void RollCall::watch() {
  {
    std::unique_lock lock(mutex_);
    if (returned_.wait_for(lock, limit_, [this] { return has_returned_; })) return;
  }
  const auto missing = this->missing();
  int first = 0;
  while (std::count(missing.begin(), missing.end(), first) > 0) ++first;
  if (first == launch_.local_rank) {
    say_(verdict(missing));
  } else {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // whoever speaks ends first
  }
  end_(static_cast<int>(ExitCode::launch));
}

}  // namespace cornstarch::launch
