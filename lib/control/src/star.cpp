#include "star.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/control/secret.h"
#include "sockets.h"

namespace cornstarch::control {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTick{100};
constexpr milliseconds kHandshake{3'000};
constexpr milliseconds kNeighbour{500};  // to find out who listens on this host
constexpr milliseconds kBetweenAttempts{50};
constexpr std::size_t kMostStrangers = 96;
constexpr milliseconds kPatience{20};  // with one of too many
constexpr milliseconds kPause{5};      // between looks at a crowd
constexpr std::size_t kMostUnsent = 4 << 20;

std::string describe_ports(const std::vector<int>& ports) {
  if (ports.size() == 1) return cat("port ", ports.front());
  return cat("ports ", ports.front(), " to ", ports.back());
}

}  // namespace

Star::Star(Key key, int rank, int world_size)
    : key_(std::move(key)),
      rank_(rank),
      world_size_(world_size),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  hosts_.resize(static_cast<std::size_t>(std::max(world_size, rank + 1)), "?");
  hosts_[static_cast<std::size_t>(rank)] = host_name();
}

Star::~Star() {
  stop();
  for (const auto& link : links_) {
    if (link->fd >= 0) close(link->fd);
  }
  if (listener_ >= 0) close(listener_);
  if (wake_ >= 0) close(wake_);
}

Result<std::unique_ptr<Star>> Star::serve(Meeting& place, int world_size, bool one_host) {
  std::unique_ptr<Star> star(new Star(place.key, 0, world_size));
  if (const auto listening = star->listen(place, one_host); !listening)
    return tl::unexpected(listening.error());
  return star;
}

Result<void> Star::listen(Meeting& place, bool one_host) {
  const auto ports = place.ports;
  int why = 0;
  for (int port : ports) {
    listener_ = listen_tcp(one_host, port);
    if (listener_ >= 0) {
      place.ports = {port};
      place.hosts = one_host ? std::vector<std::string>{"127.0.0.1"} : host_addresses();
      return {};
    }
    why = errno;
    if (port != 0 && attempt("127.0.0.1", port, kNeighbour, nullptr) == Outcome::taken)
      return cornstarch::fail(
          ExitCode::launch,
          cat("rank 0 of this run, or of one that cannot be told from it, listens on port ", port,
              " already"),
          "wait for its end, or set MASTER_ADDR and MASTER_PORT to a port of its own for each run");
  }
  return cornstarch::fail(
      ExitCode::launch, cat("rank 0 cannot listen on TCP ", describe_ports(ports), ": ", std::strerror(why)),
      "set MASTER_PORT to a port that is free on rank 0's host, the same for every process");
}

Result<std::unique_ptr<Star>> Star::join(const Meeting& place, int rank, milliseconds limit) {
  std::unique_ptr<Star> star(new Star(place.key, rank, 0));
  const auto end = Clock::now() + limit;
  const auto share = std::max(limit / 8, milliseconds(250));  // who is silent holds up nobody else's attempt
  Outcome seen = Outcome::nobody;
  std::string why = "it has no address";
  do {
    for (const int port : place.ports) {
      for (const std::string& host : place.hosts) {
        const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
        if (left.count() <= 0) break;
        const bool first = port == place.ports.front() && host == place.hosts.front();
        const Outcome outcome =
            star->attempt(host, port, std::min({left, kHandshake, share}), first ? &why : nullptr);
        if (outcome == Outcome::joined) return star;
        seen = std::max(seen, outcome);
      }
    }
    if (seen >= Outcome::taken) break;
    std::this_thread::sleep_until(std::min(end, Clock::now() + kBetweenAttempts));
  } while (Clock::now() < end);
  return tl::unexpected(star->cannot_join(place, seen, why, limit));
}

Error Star::cannot_join(const Meeting& place, Outcome outcome, const std::string& why,
                        milliseconds limit) const {
  const std::string where = cat(cornstarch::join(place.hosts, ", "), " ", describe_ports(place.ports));
  const std::string who = cat("rank ", rank_, " on ", host_name());
  const auto late = [&](const std::string& seen) {
    return cat(who, " cannot connect to rank 0 at ", where, " within ", describe_duration(limit), ": ", seen);
  };
  const std::string own_port = "set MASTER_ADDR and MASTER_PORT to a port of its own for each run";
  const std::string another =
      "MASTER_PORT may be another program's: set it to a port that is free on rank 0's host";
  const std::string secret =
      "the processes of a run must have the same CORNSTARCH_SECRET, or their users' "
      "~/.config/cornstarch-train/secret must be the same file on every host";
  switch (outcome) {
    case Outcome::silent:
      return {ExitCode::launch, late("what listens there says nothing"), another};
    case Outcome::closed:
      return {ExitCode::launch, late("what listens there ends the connection at once"), another};
    case Outcome::foreign:
      return {ExitCode::launch, late("what listens there is no rank 0"), another};
    case Outcome::refused:
      return {ExitCode::launch, late("what listens there does not take this rank's secret for its own"),
              secret};
    case Outcome::stranger:
      return {ExitCode::launch, late("what listens there does not know this run's secret"), secret};
    case Outcome::other_run:
      return {ExitCode::launch, late("another run, or one of another size, listens there"),
              cat("start every process with the same world size, and ", own_port)};
    case Outcome::taken:
      return {ExitCode::launch,
              cat(who, ": a process that is rank ", rank_, " is in this run at ", where, " already"),
              cat("wait for the end of the other run, or ", own_port)};
    case Outcome::outside:
      return {ExitCode::launch, cat(who, ": the run at ", where, " has fewer ranks"),
              "start every process with the same world size"};
    default:
      return {ExitCode::launch, late(why),
              "rank 0 must run there, and the hosts of a run must reach each other by TCP"};
  }
}

/// As a rank that wants to join. Rank 0 itself only asks who is there. `why` nobody is, if that is so.
Star::Outcome Star::attempt(const std::string& host, int port, milliseconds limit, std::string* why) {
  auto link = std::make_unique<Link>();
  link->fd = connect_tcp(host, port, limit, why);
  if (link->fd < 0) return Outcome::nobody;
  const Outcome outcome = introduce(*link, limit);
  if (outcome == Outcome::joined) {
    links_.push_back(std::move(link));
  } else {
    close(link->fd);
  }
  return outcome;
}

/// The other end of read_claim_of() and take().
Star::Outcome Star::introduce(Link& link, milliseconds limit) {
  const auto nothing = [&] { return has_ended(link.fd) ? Outcome::closed : Outcome::silent; };
  const std::string greeted = read_bytes(link.fd, kGreetingBytes, limit);
  const auto nonce = read_greeting(greeted);
  if (!nonce) return greeted.empty() ? nothing() : Outcome::foreign;
  const auto [transcript, text] = claim(key_, *nonce, rank_);
  link.in = Opener(key_, transcript, true);
  link.out = Sealer(key_, transcript, false);
  write_all(link.fd, text);
  const std::string answered = read_bytes(link.fd, kAnswerBytes, limit);
  const auto said = read_answer(key_, transcript, answered);
  if (!said && answered.empty()) return has_ended(link.fd) ? Outcome::refused : Outcome::silent;
  if (!said) return Outcome::stranger;
  if (*said == Answer::other_run) return Outcome::other_run;
  if (*said == Answer::taken) return Outcome::taken;
  if (*said == Answer::outside) return Outcome::outside;
  // From here on it counts as this rank's.
  write_all(link.fd, link.out.seal("here " + host_name()));
  std::optional<std::string> welcome;
  for (std::string more; !(welcome = link.in.next()); link.in.add(more)) {
    more = read_bytes(link.fd, 1, limit);
    if (more.empty()) return nothing();
  }
  if (welcome->rfind("welcome ", 0) != 0) return Outcome::stranger;
  hosts_[0] = welcome->substr(8);
  link.rank = 0;
  link.state = Link::State::member;
  return Outcome::joined;
}

void Star::start(Ear& ear) {
  thread_ = std::thread([this, &ear] { run(ear); });
}

std::vector<int> Star::wait_for_all(Clock::time_point end, const std::function<bool()>& in_vain) {
  Lock lock(mutex_);
  changed_.wait_until(lock, end, [&] { return complete() || (in_vain && in_vain()); });
  std::vector<int> missing;
  for (int r = 1; r < world_size_; ++r) {
    if (!member(r)) missing.push_back(r);
  }
  return missing;
}

void Star::stop() {
  if (!thread_.joinable()) return;
  {
    const Lock lock(mutex_);
    stopping_ = true;
  }
  eventfd_write(wake_, 1);
  thread_.join();
}

Star::Link* Star::member(int rank) const {
  for (const auto& link : links_) {
    if (link->rank == rank && link->state == Link::State::member && link->fd >= 0) return link.get();
  }
  return nullptr;
}

bool Star::complete() const {
  const auto members = std::count_if(links_.begin(), links_.end(), [](const auto& link) {
    return link->state == Link::State::member && link->fd >= 0;
  });
  return members == world_size_ - 1;
}

bool Star::connected(int rank) const {
  const Lock lock(mutex_);
  return member(rank) != nullptr;
}

std::string Star::host(int rank) const {
  const Lock lock(mutex_);
  return static_cast<std::size_t>(rank) < hosts_.size() ? hosts_[static_cast<std::size_t>(rank)] : "?";
}

void Star::send(int to, const std::string& message) {
  const Lock lock(mutex_);
  Link* link = member(to);
  if (!link) return;
  link->output += link->out.seal(std::string_view(message).substr(0, kLongestMessage));
  write_link(*link);
  if (!link->output.empty()) eventfd_write(wake_, 1);
}

void Star::write_link(Link& link) {
  while (!link.output.empty()) {
    const ssize_t n = ::send(link.fd, link.output.data(), link.output.size(), MSG_NOSIGNAL);
    if (n <= 0) break;  // reading says why, or there is no room yet
    link.output.erase(0, static_cast<std::size_t>(n));
  }
  if (link.output.size() > kMostUnsent) ::shutdown(link.fd, SHUT_RDWR);
}

void Star::run(Ear& ear) {
  while (true) {
    {
      const Lock lock(mutex_);
      if (stopping_) return;
    }
    std::vector<Event> events;
    poll_once(events);
    changed_.notify_all();
    for (const Event& event : events)
      event.lost ? ear.lost(event.rank) : ear.heard(event.rank, event.message);
    ear.tick();
  }
}

void Star::poll_once(std::vector<Event>& events) {
  std::vector<pollfd> waiting;
  std::vector<Link*> links;
  bool listens = false;
  {
    const Lock lock(mutex_);
    listens = Clock::now() >= listen_again_;
    waiting = {{wake_, POLLIN, 0}, {listens ? listener_ : -1, POLLIN, 0}};  // poll skips negative descriptors
    for (const auto& link : links_) {
      waiting.push_back({link->fd, static_cast<short>(link->output.empty() ? POLLIN : POLLIN | POLLOUT), 0});
      links.push_back(link.get());
    }
  }
  poll(waiting.data(), waiting.size(), static_cast<int>((listens ? kTick : kPause).count()));
  eventfd_t ignored = 0;
  eventfd_read(wake_, &ignored);
  const Lock lock(mutex_);
  for (std::size_t i = 0; i < links.size(); ++i) {
    if (waiting[i + 2].revents & POLLOUT) write_link(*links[i]);
    if (waiting[i + 2].revents & ~POLLOUT) read_link(*links[i], events, lock);
  }
  if (waiting[1].revents) accept_links(lock);
  if (listener_ >= 0 && complete()) {
    close(listener_);
    listener_ = -1;
  }
  drop_strangers();
}

void Star::accept_links(const Lock&) {
  const std::size_t most = kMostStrangers + static_cast<std::size_t>(world_size_);
  while (true) {
    const int fd = links_.size() < most ? accept_tcp(listener_) : -1;
    if (fd < 0) {
      // Without room, or without descriptors, the listener would be ready for ever.
      if (links_.size() >= most || (errno != EAGAIN && errno != EINTR)) listen_again_ = Clock::now() + kPause;
      return;
    }
    auto link = std::make_unique<Link>();
    link->fd = fd;
    link->nonce = random_bytes(kNonceBytes);
    link->output = greeting(link->nonce);
    write_link(*link);
    links_.push_back(std::move(link));
  }
}

/// Whoever is slow among many has to go, which a rank that answers at once is not.
void Star::drop_strangers() {
  const auto is_stranger = [](const auto& link) { return link->state != Link::State::member; };
  auto strangers = static_cast<std::size_t>(std::count_if(links_.begin(), links_.end(), is_stranger));
  const auto now = Clock::now();
  for (const auto& link : links_) {
    if (!is_stranger(link) || link->fd < 0) continue;
    const bool crowded = strangers > kMostStrangers / 2;
    if (!crowded && listener_ >= 0 && now - link->since < kHandshake) continue;
    if (crowded && now - link->since < kPatience) continue;
    close(link->fd);
    link->fd = -1;
    --strangers;
  }
  std::erase_if(links_, [](const auto& link) { return link->fd < 0; });
}

void Star::read_link(Link& link, std::vector<Event>& events, const Lock& lock) {
  std::array<char, 4096> buffer{};
  const ssize_t n = recv(link.fd, buffer.data(), buffer.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const std::string_view bytes(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
  if (link.state == Link::State::greeted) {
    link.raw += bytes;
    if (link.raw.size() >= kClaimBytes) read_claim_of(link, lock);
  } else {
    link.in.add(bytes);
  }
  while (link.fd >= 0 && link.state != Link::State::greeted) {
    auto message = link.in.next();
    if (!message) break;
    take(link, std::move(*message), events, lock);
  }
  if (link.fd >= 0 && (n <= 0 || link.in.broken())) end(link, events);
}

/// On rank 0.
void Star::read_claim_of(Link& link, const Lock&) {
  const auto transcript = read_claim(key_, link.nonce, std::string_view(link.raw).substr(0, kClaimBytes));
  if (!transcript) {
    close(link.fd);
    link.fd = -1;
    return;
  }
  Answer said = Answer::welcome;
  if (!transcript->same_job) {
    said = Answer::other_run;
  } else if (transcript->rank == 0 || member(transcript->rank)) {
    said = Answer::taken;
  } else if (transcript->rank < 0 || transcript->rank >= world_size_) {
    said = Answer::outside;
  }
  link.output += answer(key_, *transcript, said);
  write_link(link);
  if (said != Answer::welcome) {
    close(link.fd);
    link.fd = -1;
    return;
  }
  link.in = Opener(key_, *transcript, false);
  link.out = Sealer(key_, *transcript, true);
  link.in.add(std::string_view(link.raw).substr(kClaimBytes));
  link.rank = transcript->rank;
  link.state = Link::State::claimed;
}

void Star::take(Link& link, std::string message, std::vector<Event>& events, const Lock&) {
  if (link.state == Link::State::member) {
    events.push_back({link.rank, false, std::move(message)});
    return;
  }
  // Its other end may have tried several addresses of this host before it took one.
  if (message.rfind("here ", 0) != 0 || member(link.rank)) {
    close(link.fd);
    link.fd = -1;
    return;
  }
  link.state = Link::State::member;
  hosts_[static_cast<std::size_t>(link.rank)] = message.substr(5);
  link.output += link.out.seal("welcome " + hosts_[0]);
  write_link(link);
}

void Star::end(Link& link, std::vector<Event>& events) {
  close(link.fd);
  link.fd = -1;
  if (link.state == Link::State::member) events.push_back({link.rank, true, {}});
}

}  // namespace cornstarch::control
