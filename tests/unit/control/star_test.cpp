#include "star.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <functional>
#include <map>
#include <regex>
#include <set>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/control/secret.h"
#include "sockets.h"

using namespace cornstarch;
using namespace cornstarch::control;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Notes final : Star::Ear {
  std::mutex mutex;
  std::vector<std::string> notes;

  void heard(int from, const std::string& message) override { note(cat(from, ": ", message)); }
  void lost(int rank) override { note(cat(rank, " lost")); }
  void tick() override {}
  void note(const std::string& text) {
    const std::lock_guard lock(mutex);
    notes.push_back(text);
  }
  std::vector<std::string> all() {
    const std::lock_guard lock(mutex);
    return notes;
  }
};

bool becomes_true(const std::function<bool()>& fact, seconds limit = seconds(5)) {
  for (const auto end = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < end;) {
    if (fact()) return true;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return false;
}

/// Another process that opens connections and says nothing, until it is ended.
class Flood {
 public:
  Flood(const std::function<void()>& connect, rlim_t most) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(ends[1], 3);
      ::close_range(4, ~0U, 0);  // the listener among them
      const rlimit many{most, most};
      setrlimit(RLIMIT_NOFILE, &many);
      for (int opened = 1;; ++opened) {
        connect();
        if (opened == 1'000 && ::write(3, "x", 1) != 1) _exit(1);
      }
    }
    close(ends[1]);
    told_ = ends[0];
    ::fcntl(told_, F_SETFL, O_NONBLOCK);
  }
  ~Flood() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    close(told_);
  }
  bool opened_a_thousand() const {
    char ignored = 0;
    return ::read(told_, &ignored, 1) == 1;
  }

 private:
  pid_t process_ = -1;
  int told_ = -1;
};

/// Rank 0 of a world, and what it hears.
struct Server {
  Meeting place = private_meeting();
  Notes notes;
  std::unique_ptr<Star> star;

  explicit Server(int world_size) : star(value_or_throw(Star::serve(place, world_size, true))) {
    star->start(notes);
  }
  int connect() const { return connect_tcp("127.0.0.1", place.ports.front(), seconds(3)); }
  Result<std::unique_ptr<Star>> join(int rank) const { return Star::join(place, rank, milliseconds(2'000)); }
  std::vector<int> missing_after(milliseconds limit) const {
    return star->wait_for_all(Star::Clock::now() + limit);
  }
  /// What a stranger is told until the connection ends.
  std::string told(const std::string& text) const {
    const int fd = connect();
    write_all(fd, text);
    const std::string said = read_bytes(fd, 1 << 20, seconds(5));
    close(fd);
    return said;
  }
};

std::size_t descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace

TEST_CASE("messages go both ways, and an end is noticed") {
  Server server(3);
  Notes notes;  // outlives the star that tells it
  auto two = value_or_throw(server.join(2));
  auto one = value_or_throw(server.join(1));
  REQUIRE(server.missing_after(seconds(5)).empty());
  two->start(notes);
  two->send(0, "up");
  server.star->send(2, "down");
  server.star->send(7, "to nobody");
  REQUIRE(becomes_true([&] { return notes.all() == std::vector<std::string>{"0: down"}; }));
  REQUIRE(becomes_true([&] { return server.notes.all() == std::vector<std::string>{"2: up"}; }));
  CHECK(server.star->host(2) == host_name());
  one.reset();
  REQUIRE(becomes_true([&] { return server.notes.all() == std::vector<std::string>{"2: up", "1 lost"}; }));
  CHECK_FALSE(server.star->connected(1));
}

TEST_CASE("where all ranks are on one host, other hosts find nothing to connect to") {
  for (const bool one_host : {true, false}) {
    Notes notes;
    Meeting place = private_meeting();
    const auto star = value_or_throw(Star::serve(place, 2, one_host));
    // Of /proc/net/tcp and tcp6: the local address in hexadecimal, and 0A for one that listens.
    std::string listening;
    for (const std::string table : {"/proc/net/tcp", "/proc/net/tcp6"})
      for (const std::string& line : split(value_or_throw(read_file(table)), '\n')) {
        const std::regex entry(R"( *\d+: (\w+):(\w+) \w+:\w+ 0A .*)");
        std::smatch found;
        if (std::regex_match(line, found, entry) && std::stoi(found[2], nullptr, 16) == place.ports.front())
          listening = found[1];
      }
    CHECK((listening == "0100007F") == one_host);
    CHECK_FALSE(listening.empty());
  }
}

TEST_CASE("once all are in nobody else gets a connection") {
  Server server(2);
  auto one = value_or_throw(server.join(1));
  REQUIRE(becomes_true([&] {
    const int fd = server.connect();
    if (fd >= 0) close(fd);
    return fd < 0;
  }));
  CHECK(server.star->connected(1));
}

TEST_CASE("strangers hear a greeting and no more") {
  Server server(3);
  auto one = value_or_throw(server.join(1));
  const std::string http = "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + std::string(200, ' ');
  std::string forged = claim({"another secret....", ""}, std::string(kNonceBytes, 'n'), 2).second;
  for (const std::string& text : {http, std::string(1 << 20, '\0'), forged, forged + std::string(5000, 'x'),
                                  claim(server.place.key, std::string(kNonceBytes, 'n'), 2).second}) {
    const std::string said = server.told(text);
    REQUIRE(said.size() <= kGreetingBytes);
  }
  CHECK(server.notes.all().empty());
  CHECK(server.missing_after(milliseconds(100)) == std::vector<int>{2});
  auto two = value_or_throw(server.join(2));
  REQUIRE(server.missing_after(seconds(5)).empty());
}

TEST_CASE("what a member did not sign ends its connection") {
  Server server(3);
  const int fd = server.connect();
  const auto nonce = read_greeting(read_bytes(fd, kGreetingBytes, seconds(3)));
  const auto [transcript, text] = claim(server.place.key, *nonce, 1);
  write_all(fd, text);
  REQUIRE(read_answer(server.place.key, transcript, read_bytes(fd, kAnswerBytes, seconds(3))) ==
          Answer::welcome);
  Sealer out(server.place.key, transcript, false);
  const std::string here = out.seal("here n7"), first = out.seal("first");
  write_all(fd, here + first);
  REQUIRE(becomes_true([&] { return server.notes.all() == std::vector<std::string>{"1: first"}; }));
  CHECK(server.star->host(1) == "n7");
  write_all(fd, first);  // replayed
  REQUIRE(becomes_true([&] { return server.notes.all() == std::vector<std::string>{"1: first", "1 lost"}; }));
  close(fd);
}

TEST_CASE("a second process of a rank is refused and told why, and the first stays") {
  Server server(3);
  auto one = value_or_throw(server.join(1));
  const auto again = server.join(1);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == ExitCode::launch);
  CHECK(again.error().message == cat("rank 1 on ", host_name(),
                                     ": a process that is rank 1 is in this run at 127.0.0.1 port ",
                                     server.place.ports.front(), " already"));
  CHECK(again.error().help ==
        "wait for the end of the other run, or set MASTER_ADDR and MASTER_PORT to a port of its own for each "
        "run");
  const auto outside = server.join(3);
  REQUIRE_FALSE(outside);
  CHECK(outside.error().message == cat("rank 3 on ", host_name(), ": the run at 127.0.0.1 port ",
                                       server.place.ports.front(), " has fewer ranks"));
  CHECK(server.star->connected(1));
  CHECK(server.notes.all().empty());
}

TEST_CASE("a second run on the port is told so, or takes the next one") {
  Server server(3);
  const int port = server.place.ports.front();
  Meeting same{server.place.key, {"127.0.0.1"}, {port, port + 1}};
  const auto twin = Star::serve(same, 3, true);
  REQUIRE_FALSE(twin);
  CHECK(twin.error().message ==
        cat("rank 0 of this run, or of one that cannot be told from it, listens on port ", port, " already"));
  Meeting other = same;
  other.key.job = "another";
  const auto second = value_or_throw(Star::serve(other, 3, true));
  CHECK(other.ports.front() == port + 1);
  const auto lost = Star::join({other.key, {"127.0.0.1"}, {port}}, 1, milliseconds(200));
  REQUIRE_FALSE(lost);
  CHECK(lost.error().message == cat("rank 1 on ", host_name(), " cannot connect to rank 0 at 127.0.0.1 port ",
                                    port,
                                    " within 0.2 s: another run, or one of another size, listens there"));
  CHECK(server.notes.all().empty());
}

TEST_CASE("whoever has another secret, and whoever finds nobody, is told") {
  Server server(2);
  Meeting stranger = server.place;
  stranger.key.secret = "another secret....";
  const auto refused = Star::join(stranger, 1, milliseconds(300));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message ==
        cat("rank 1 on ", host_name(), " cannot connect to rank 0 at 127.0.0.1 port ",
            server.place.ports.front(),
            " within 0.3 s: what listens there does not take this rank's secret for its own"));
  CHECK(refused.error().help ==
        "the processes of a run must have the same CORNSTARCH_SECRET, or their users' "
        "~/.config/cornstarch-train/secret must be the same file on every host");
  const auto nobody = Star::join({{"sixteen letters!", ""}, {"127.0.0.1"}, {1, 2}}, 1, milliseconds(200));
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().message ==
        cat("rank 1 on ", host_name(),
            " cannot connect to rank 0 at 127.0.0.1 ports 1 to 2 within 0.2 s: Connection refused"));
  CHECK(nobody.error().help == "rank 0 must run there, and the hosts of a run must reach each other by TCP");
}

TEST_CASE("an impostor of rank 0 learns nothing, is not believed, and what it does is said") {
  const Key key{"sixteen letters!", ""};
  const std::string nonce(kNonceBytes, 'n');
  // A rank 0's, but to another claim.
  const std::string replayed = answer(key, claim(key, nonce, 1).first, Answer::welcome);
  struct Case {
    std::string greeting, answer;
    seconds stays;
    std::string seen, help;
  };
  const std::string another =
      "MASTER_PORT may be another program's: set it to a port that is free on rank 0's host";
  const std::string secret =
      "the processes of a run must have the same CORNSTARCH_SECRET, or their users' "
      "~/.config/cornstarch-train/secret must be the same file on every host";
  for (const Case& each : std::vector<Case>{
           {"", "", seconds(0), "what listens there ends the connection at once", another},
           {"", "", seconds(2), "what listens there says nothing", another},
           {"HTTP/1.1 400 Bad Request\r\n\r\n", "", seconds(0), "what listens there is no rank 0", another},
           {std::string(kGreetingBytes, 'x'), "", seconds(2), "what listens there is no rank 0", another},
           {greeting(nonce), "", seconds(0),
            "what listens there does not take this rank's secret for its own", secret},
           {greeting(nonce), "", seconds(2), "what listens there says nothing", another},
           {greeting(nonce), std::string(kAnswerBytes, 'w'), seconds(0),
            "what listens there does not know this run's secret", secret},
           {greeting(nonce), replayed, seconds(0), "what listens there does not know this run's secret",
            secret}}) {
    int port = 0;
    const int listener = listen_tcp(true, port);
    std::string claimed;
    std::atomic<bool> done{false};
    std::thread impostor([&] {
      while (!done) {
        const int fd = accept_tcp(listener);
        if (fd >= 0) {
          write_all(fd, each.greeting);
          if (each.greeting.size() == kGreetingBytes)
            claimed = read_bytes(fd, kClaimBytes, milliseconds(100));
          write_all(fd, each.answer);
          becomes_true([&] { return done.load(); }, each.stays);
          close(fd);
        }
        std::this_thread::sleep_for(milliseconds(1));
      }
    });
    const auto began = Star::Clock::now();
    const auto joined = Star::join({key, {"127.0.0.1"}, {port}}, 1, milliseconds(400));
    const auto took = Star::Clock::now() - began;
    done = true;
    impostor.join();
    close(listener);
    REQUIRE_FALSE(joined);
    CHECK(joined.error().message == cat("rank 1 on ", host_name(),
                                        " cannot connect to rank 0 at 127.0.0.1 port ", port,
                                        " within 0.4 s: ", each.seen));
    CHECK(joined.error().help == each.help);
    CHECK(claimed.find(key.secret) == std::string::npos);
    CHECK(took < milliseconds(1'500));
  }
}

TEST_CASE("a deadline is kept with every port silent, and a host without a name is told") {
  std::vector<int> listeners, ports;
  for (int i = 0; i < 16; ++i) listeners.push_back(listen_tcp(true, ports.emplace_back(0)));
  const auto began = Star::Clock::now();
  const auto joined = Star::join({{"sixteen letters!", ""}, {"127.0.0.1"}, ports}, 1, milliseconds(300));
  CHECK(Star::Clock::now() - began < milliseconds(1'500));
  CHECK_FALSE(joined);
  for (const int listener : listeners) close(listener);
  const auto unknown = Star::join({{"sixteen letters!", ""}, {"no host"}, {1}}, 1, milliseconds(300));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().message.find(" within 0.3 s: no address of 'no host' is known: ") !=
        std::string::npos);
}

TEST_CASE("silent connections are few and short-lived, and ranks get in meanwhile") {
  rlimit old{};
  getrlimit(RLIMIT_NOFILE, &old);
  Server server(3);
  auto one = value_or_throw(server.join(1));
  std::size_t most = 0;
  std::unique_ptr<Star> two;
  bool flooded = false, joined = false;
  {
    const Flood flood([&] { server.connect(); }, old.rlim_max);
    const rlimit few{256, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    flooded = becomes_true(
        [&] {
          most = std::max(most, descriptors());
          return flood.opened_a_thousand();
        },
        seconds(30));
    joined = becomes_true(
        [&] {
          most = std::max(most, descriptors());
          if (auto star = server.join(2)) two = std::move(*star);
          return two != nullptr;
        },
        seconds(20));
    setrlimit(RLIMIT_NOFILE, &old);
  }
  REQUIRE(flooded);
  REQUIRE(joined);
  REQUIRE(server.missing_after(seconds(5)).empty());
  CHECK(most > 60);
  CHECK(most < 150);
  CHECK(server.notes.all().empty());
  CHECK(server.star->connected(1));
  // Once all are in, what is left of the flood is gone at once.
  CHECK(becomes_true([] { return descriptors() < 40; }));
}

TEST_CASE("a connection that says nothing is closed after the handshake's time") {
  Server server(2);
  const int fd = server.connect();
  const auto start = std::chrono::steady_clock::now();
  CHECK(read_bytes(fd, kGreetingBytes + 1, seconds(10)).size() == kGreetingBytes);
  const auto waited = std::chrono::steady_clock::now() - start;
  CHECK(waited > milliseconds(2'500));
  CHECK(waited < milliseconds(6'000));
  close(fd);
}

TEST_CASE("a signal cuts no waiting short") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  struct sigaction ignores{}, before{};
  ignores.sa_handler = [](int) {};
  ::sigaction(SIGUSR2, &ignores, &before);
  std::thread other([&, reader = ::pthread_self()] {
    for (int i = 0; i < 5; ++i, std::this_thread::sleep_for(milliseconds(20)))
      ::pthread_kill(reader, SIGUSR2);
    write_all(ends[1], "late");
  });
  CHECK(read_bytes(ends[0], 4, seconds(5)) == "late");
  other.join();
  ::sigaction(SIGUSR2, &before, nullptr);
  for (const int end : ends) close(end);
}

TEST_CASE("both ends notice a host that vanishes") {
  int port = 0;
  const int listener = listen_tcp(true, port);
  const int to = connect_tcp("127.0.0.1", port, seconds(3));
  const int from = accept_tcp(listener);
  for (const int fd : {to, from}) {
    const auto option = [fd](int level, int name) {
      int value = -1;
      socklen_t size = sizeof value;
      REQUIRE(getsockopt(fd, level, name, &value, &size) == 0);
      return value;
    };
    CHECK(option(SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option(IPPROTO_TCP, TCP_KEEPIDLE) == 10);
    CHECK(option(IPPROTO_TCP, TCP_KEEPINTVL) == 5);
    CHECK(option(IPPROTO_TCP, TCP_KEEPCNT) == 3);
    CHECK(option(IPPROTO_TCP, TCP_USER_TIMEOUT) == 25'000);
    CHECK(option(IPPROTO_TCP, TCP_NODELAY) == 1);
    close(fd);
  }
  close(listener);
}
