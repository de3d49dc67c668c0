#include "sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <future>
#include <memory>
#include <thread>

#include "cornstarch/base/text.h"

namespace cornstarch::control {
namespace {

using Clock = std::chrono::steady_clock;

int left_until(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

/// Whether it becomes that before the end, whatever signals come.
bool becomes(short event, int fd, Clock::time_point end) {
  pollfd waiting{fd, event, 0};
  int ready = 0;
  do ready = poll(&waiting, 1, left_until(end));
  while (ready < 0 && errno == EINTR);
  return ready == 1;
}

/// Notices a host that vanished without closing its connections: keepalive where nothing is on the way, the
/// limit for what was sent where something is. The board does by itself, as a rule a little earlier.
void tune(int fd) {
  const int on = 1, idle_s = 10, interval_s = 5, probes = 3;
  const unsigned unheard_ms = 25'000;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard_ms, sizeof(unheard_ms));
}

bool finish_connect(int fd, const addrinfo& to, Clock::time_point end) {
  if (::connect(fd, to.ai_addr, to.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  int error = ETIMEDOUT;
  socklen_t size = sizeof(error);
  if (becomes(POLLOUT, fd, end)) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  return error == 0;
}

int connect_to(const addrinfo& to, Clock::time_point end) {
  const int fd = socket(to.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (!finish_connect(fd, to, end)) {
    close(fd);
    return -1;
  }
  tune(fd);
  return fd;
}

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

std::pair<int, Addresses> addresses(const std::string& host, int port, int flags) {
  addrinfo hints{};
  hints.ai_flags = flags;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  return std::pair(error, Addresses(found, freeaddrinfo));
}

/// Names are asked for in a thread of its own: a resolver whose servers do not answer takes its time.
Addresses resolve(const std::string& host, int port, Clock::time_point end, std::string& why) {
  if (auto numeric = addresses(host, port, AI_NUMERICHOST); numeric.first == 0)
    return std::move(numeric.second);
  std::packaged_task<std::pair<int, Addresses>()> ask([host, port] { return addresses(host, port, 0); });
  auto answer = ask.get_future();
  std::thread(std::move(ask)).detach();
  const bool answered = answer.wait_until(end) == std::future_status::ready;
  auto [error, found] = answered ? answer.get() : std::pair(EAI_AGAIN, Addresses(nullptr, freeaddrinfo));
  if (error != 0) why = cat("no address of '", host, "' is known: ", gai_strerror(error));
  return std::move(found);
}

int listen_at(int family, const sockaddr* address, socklen_t size) {
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int on = 1, off = 0;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));  // what an earlier run left closes by itself
  if (family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (bind(fd, address, size) == 0 && ::listen(fd, 1024) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

}  // namespace

int listen_tcp(bool loopback_only, int& port) {
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(static_cast<std::uint16_t>(port));
  four.sin_addr.s_addr = htonl(loopback_only ? INADDR_LOOPBACK : INADDR_ANY);
  sockaddr_in6 both{};
  both.sin6_family = AF_INET6;
  both.sin6_port = four.sin_port;
  both.sin6_addr = in6addr_any;
  int fd = -1;
  if (!loopback_only) fd = listen_at(AF_INET6, reinterpret_cast<const sockaddr*>(&both), sizeof both);
  if (fd < 0 && (loopback_only || errno != EADDRINUSE))
    fd = listen_at(AF_INET, reinterpret_cast<const sockaddr*>(&four), sizeof four);
  if (fd < 0) return -1;
  sockaddr_in6 bound{};  // the port lies at the same place in both kinds
  socklen_t size = sizeof bound;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  port = ntohs(bound.sin6_port);
  return fd;
}

int connect_tcp(const std::string& host, int port, std::chrono::milliseconds limit, std::string* why) {
  const auto end = Clock::now() + limit;
  std::string ignored;
  std::string& reason = why ? *why : ignored;
  const Addresses found = resolve(host, port, end, reason);
  if (!found) return -1;
  int fd = -1, untried = 0;
  for (const addrinfo* to = found.get(); to; to = to->ai_next) ++untried;
  for (const addrinfo* to = found.get(); to && fd < 0; to = to->ai_next)
    fd = connect_to(*to, Clock::now() + (end - Clock::now()) / untried--);
  if (fd < 0) reason = std::strerror(errno);
  return fd;
}

int accept_tcp(int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) tune(fd);
  return fd;
}

std::vector<std::string> host_addresses() {
  std::vector<std::string> out;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return out;
  for (const ifaddrs* i = all; i; i = i->ifa_next) {
    if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET) continue;
    if (!(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK)) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* address = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
    if (inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size())) out.emplace_back(text.data());
  }
  freeifaddrs(all);
  return out;
}

std::string read_bytes(int fd, std::size_t count, std::chrono::milliseconds limit) {
  const auto end = Clock::now() + limit;
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < count && becomes(POLLIN, fd, end)) {
    const ssize_t n = recv(fd, bytes.data() + done, count - done, 0);
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

bool has_ended(int fd) {
  char next = 0;
  const ssize_t n = recv(fd, &next, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

bool write_all(int fd, std::string_view text) {
  const auto end = Clock::now() + std::chrono::seconds(1);
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN || errno == EINTR) {
      if (!becomes(POLLOUT, fd, end)) return false;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace cornstarch::control
