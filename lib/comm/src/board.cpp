#include "board.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>
#include <sstream>

#include "cornstarch/base/console.h"
#include "cornstarch/base/text.h"
#include "describe.h"
#include "sockets.h"

namespace cornstarch::comm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kHandshake{3'000};
constexpr milliseconds kRootCauseFirst{300};
constexpr std::size_t kLongestLine = 1 << 16;

/// Keeps a stray connection from being taken for a rank.
std::string random_token() {
  std::random_device device;
  return std::to_string((static_cast<unsigned long long>(device()) << 32) | device());
}

std::string rest_of(std::istringstream& in) {
  std::string text;
  std::getline(in >> std::ws, text);
  return text;
}

void print_to_console(const std::string& line) { console().say(line, log::Level::error); }

}  // namespace

FailureBoard::FailureBoard(int rank, int world_size, BoardOptions options)
    : rank_(rank), world_size_(world_size), options_(std::move(options)), host_(host_name()) {
  if (!options_.print) options_.print = print_to_console;
  if (!options_.end_process) options_.end_process = [](int code) { _exit(code); };
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

FailureBoard::~FailureBoard() {
  if (thread_.joinable()) {
    {
      const Lock lock(mutex_);
      stopping_ = true;
    }
    eventfd_write(wake_, 1);
    thread_.join();
  }
  for (const auto& link : links_) {
    if (link->fd >= 0) close(link->fd);
  }
  if (listener_ >= 0) close(listener_);
  if (wake_ >= 0) close(wake_);
}

Result<std::unique_ptr<FailureBoard>> FailureBoard::serve(int world_size, bool one_host,
                                                          BoardOptions options) {
  std::unique_ptr<FailureBoard> board(new FailureBoard(0, world_size, std::move(options)));
  if (const auto listening = board->listen(one_host); !listening) return tl::unexpected(listening.error());
  board->start();
  return board;
}

Result<std::unique_ptr<FailureBoard>> FailureBoard::join(int rank, const std::string& address,
                                                         BoardOptions options) {
  std::unique_ptr<FailureBoard> board(new FailureBoard(rank, 0, std::move(options)));
  if (const auto connected = board->connect(address); !connected) return tl::unexpected(connected.error());
  board->start();
  return board;
}

Result<void> FailureBoard::listen(bool one_host) {
  int port = 0;
  listener_ = listen_tcp(one_host, port);
  if (listener_ < 0)
    return cornstarch::fail(ExitCode::launch,
                            cat("rank 0 cannot listen on a TCP port: ", std::strerror(errno)));
  token_ = random_token();
  address_ = cat(token_, " ", port);
  if (!one_host) {
    for (const auto& address : host_addresses()) address_ += " " + address;
  }
  return {};
}

Result<void> FailureBoard::connect(const std::string& address) {
  std::istringstream in(address);
  int port = 0;
  in >> token_ >> port;
  std::vector<std::string> hosts;
  for (std::string host; in >> host;) hosts.push_back(host);
  if (hosts.empty()) hosts.emplace_back("127.0.0.1");
  for (const auto& host : hosts) {
    const int fd = connect_tcp(host, port, kHandshake);
    if (fd < 0) continue;
    std::string verb;
    auto link = std::make_unique<Link>();
    if (write_all(fd, cat("hello ", token_, " ", rank_, " ", host_, "\n"))) {
      std::istringstream(read_line(fd, kHandshake)) >> verb >> link->host;
    }
    if (verb == "welcome" && write_all(fd, "here\n")) {
      link->fd = fd;
      link->rank = 0;
      links_.push_back(std::move(link));
      return {};
    }
    close(fd);
  }
  return cornstarch::fail(ExitCode::launch,
                          cat("rank ", rank_, " on ", host_, " cannot connect to rank 0 at ",
                              cornstarch::join(hosts, ", "), " port ", port),
                          "the hosts of a run must reach each other by TCP");
}

void FailureBoard::start() {
  thread_ = std::thread([this] { run(); });
}

Result<void> FailureBoard::wait_for_all(milliseconds limit) {
  Lock lock(mutex_);
  std::vector<bool> there(static_cast<std::size_t>(world_size_));
  const auto complete = [&] {
    there[0] = true;
    for (const auto& link : links_) {
      if (link->rank > 0) there[static_cast<std::size_t>(link->rank)] = true;
    }
    return std::find(there.begin(), there.end(), false) == there.end();
  };
  if (changed_.wait_for(lock, limit, complete)) return {};
  std::vector<int> missing;
  for (int r = 0; r < world_size_; ++r) {
    if (!there[static_cast<std::size_t>(r)]) missing.push_back(r);
  }
  return cornstarch::fail(ExitCode::launch, cat(describe_ranks(missing), " did not connect to rank 0 within ",
                                                describe_duration(limit)));
}

std::optional<RankFailure> FailureBoard::failure() const {
  const Lock lock(mutex_);
  return failure_;
}

void FailureBoard::let_it_end_first() const {
  Clock::time_point until;
  {
    const Lock lock(mutex_);
    if (!failure_ || failure_->rank == rank_) return;
    until = failed_at_ + kRootCauseFirst;
  }
  std::this_thread::sleep_until(until);
}

void FailureBoard::fail(ExitCode code, const std::string& cause) {
  Lock lock(mutex_);
  if (failure_) return;
  const std::string text = one_line(cause);
  if (rank_ == 0) return record({0, static_cast<int>(code), host_, text}, lock);
  record({rank_, static_cast<int>(code), host_, text}, lock);
  if (!send_line(*links_[0], cat("failed ", static_cast<int>(code), " ", text))) return;
  changed_.wait_for(lock, options_.ack, [&] { return acknowledged_ || links_[0]->fd < 0; });
}

bool FailureBoard::everyone_left() const {
  return std::all_of(links_.begin(), links_.end(),
                     [](const auto& link) { return link->left || link->fd < 0 || link->rank < 0; });
}

void FailureBoard::leave() {
  Lock lock(mutex_);
  // Rank 0 leaves last: until then it is the one who notices a death.
  if (rank_ > 0) send_line(*links_[0], "bye");
  changed_.wait_for(lock, options_.grace, [&] { return everyone_left() || failure_; });
  for (const auto& link : links_) {
    if (rank_ == 0) send_line(*link, "bye");
    link->left = true;
  }
}

bool FailureBoard::send_line(const Link& link, const std::string& line) {
  return link.fd >= 0 && write_all(link.fd, line + "\n");
}

void FailureBoard::run() {
  while (true) {
    {
      const Lock lock(mutex_);
      if (stopping_) return;
    }
    poll_once();
    end_if_overdue();
  }
}

int FailureBoard::poll_timeout() const {
  const Lock lock(mutex_);
  if (!failure_) return -1;
  const auto left =
      std::chrono::duration_cast<milliseconds>(failed_at_ + options_.grace - Clock::now()).count();
  return static_cast<int>(std::max<long long>(left, 0)) + 1;
}

void FailureBoard::poll_once() {
  std::vector<pollfd> waiting{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
  std::vector<Link*> links;
  {
    const Lock lock(mutex_);
    for (const auto& link : links_) {
      waiting.push_back({link->fd, POLLIN, 0});  // poll skips negative descriptors
      links.push_back(link.get());
    }
  }
  if (poll(waiting.data(), waiting.size(), poll_timeout()) <= 0) return;
  eventfd_t ignored = 0;
  eventfd_read(wake_, &ignored);
  const Lock lock(mutex_);
  for (std::size_t i = 0; i < links.size(); ++i) {
    if (waiting[i + 2].revents) read_link(*links[i], lock);
  }
  if (waiting[1].revents) accept_link(lock);
  changed_.notify_all();
}

void FailureBoard::accept_link(const Lock&) {
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  links_.push_back(std::make_unique<Link>());
  links_.back()->fd = fd;
}

void FailureBoard::read_link(Link& link, const Lock& lock) {
  std::array<char, 4096> buffer{};
  const ssize_t n = recv(link.fd, buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) link.input.append(buffer.data(), static_cast<std::size_t>(n));
  for (std::size_t end; link.fd >= 0 && (end = link.input.find('\n')) != std::string::npos;) {
    const std::string line = link.input.substr(0, end);
    link.input.erase(0, end + 1);
    handle(link, line, lock);
  }
  if (n <= 0 || link.input.size() > kLongestLine) handle_end(link, lock);
}

void FailureBoard::handle(Link& link, const std::string& line, const Lock& lock) {
  std::istringstream in(line);
  std::string verb;
  in >> verb;
  if (link.rank < 0) {
    if (handle_stranger(link, verb, in)) return;
    return handle_end(link, lock);
  }
  if (verb == "bye") link.left = true;
  if (verb == "ack") acknowledged_ = true;
  if (verb != "failed") return;
  RankFailure failure;
  if (rank_ == 0) {
    failure.rank = link.rank;
    failure.host = link.host;
    in >> failure.code;
  } else {
    in >> failure.rank >> failure.code >> failure.host;
  }
  failure.cause = rest_of(in);
  record(std::move(failure), lock);
  if (rank_ == 0) send_line(link, "ack");
}

/// A connection counts as a rank's from "here" on: until then its other end may still try another address.
bool FailureBoard::handle_stranger(Link& link, const std::string& verb, std::istream& in) const {
  if (verb == "here" && link.claims > 0) {
    link.rank = link.claims;
    return true;
  }
  std::string token, host;
  int rank = -1;
  in >> token >> rank >> host;
  if (verb != "hello" || token != token_ || rank < 1 || rank >= world_size_) return false;
  link.claims = rank;
  link.host = host;
  return send_line(link, "welcome " + host_);
}

void FailureBoard::handle_end(Link& link, const Lock& lock) {
  if (link.fd < 0) return;
  close(link.fd);
  link.fd = -1;
  if (link.rank < 0 || link.left) return;
  record({link.rank, 0, link.host, "died (connection lost)"}, lock);
}

void FailureBoard::record(RankFailure failure, const Lock&) {
  if (failure_) return;
  failure_ = std::move(failure);
  failed_at_ = Clock::now();
  // If rank 0 itself is lost, the next rank speaks for it.
  if (rank_ == 0 || (rank_ == 1 && failure_->rank == 0 && failure_->code == 0)) announce(*failure_);
  if (rank_ == 0) {
    const auto line =
        cat("failed ", failure_->rank, " ", failure_->code, " ", failure_->host, " ", failure_->cause);
    for (const auto& link : links_) {
      if (link->rank != failure_->rank) send_line(*link, line);
    }
  }
  failed_.store(true, std::memory_order_release);
  eventfd_write(wake_, 1);  // poll must learn of the end of the grace
}

void FailureBoard::announce(const RankFailure& failure) const {
  const std::string code = failure.code ? std::to_string(failure.code) : "?";
  options_.print(
      cat("FATAL rank=", failure.rank, " host=", failure.host, " code=", code, " msg=", failure.cause, "\n"));
}

void FailureBoard::end_if_overdue() {
  int code = static_cast<int>(ExitCode::peer_failed);
  {
    const Lock lock(mutex_);
    if (!failure_ || stopping_ || Clock::now() < failed_at_ + options_.grace) return;
    if (failure_->rank == rank_) code = failure_->code;
    stopping_ = true;
  }
  options_.end_process(code);
}

}  // namespace cornstarch::comm
