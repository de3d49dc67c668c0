#include "cornstarch/selftest/selftest.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "catch.h"
#include "cornstarch/base/text.h"

using namespace cornstarch;
using namespace cornstarch::comm;
using namespace cornstarch::selftest;

namespace {

/// What is broken between the ranks, or slow.
struct Fault {
  std::string operation = "";  ///< a collective, whose result one rank sees another element of
  int rank = -1;
  int from = -1, to = -1;              ///< the link
  bool changes = false;                ///< an element of every message over it
  std::chrono::milliseconds delay{0};  ///< of every message over it
  bool touches(int a, int b) const { return (from < 0 || a == from) && (to < 0 || b == to); }
};

void spoil(const at::Tensor& tensor) { tensor.flatten()[2].fill_(-7); }

/// What happens when a work is done, or before it is.
class FaultyWork final : public Work {
 public:
  FaultyWork(WorkPtr work, std::function<void()> after) : work_(std::move(work)), after_(std::move(after)) {}
  void wait() override {
    work_->wait();
    after_();
  }
  bool done() override { return work_->done(); }

 private:
  WorkPtr work_;
  std::function<void()> after_;
};

class FaultyGroup final : public Group {
 public:
  FaultyGroup(GroupPtr group, const Fault& fault) : group_(std::move(group)), fault_(fault) {}
  int rank() const override { return group_->rank(); }
  int size() const override { return group_->size(); }
  const std::vector<int>& ranks() const override { return group_->ranks(); }
  WorkPtr start_all_reduce(const at::Tensor& tensor, Reduce op) override {
    const bool large = tensor.numel() > 1;  // no barrier
    return behind(group_->start_all_reduce(tensor, op), large && op == Reduce::sum ? "all_reduce sum" : "",
                  tensor);
  }
  WorkPtr start_broadcast(const at::Tensor& tensor, int root) override {
    return behind(group_->start_broadcast(tensor, root), "broadcast", tensor);
  }
  WorkPtr start_all_gather(const at::Tensor& out, const at::Tensor& in) override {
    return behind(group_->start_all_gather(out, in), "all_gather", out);
  }
  WorkPtr start_reduce_scatter(const at::Tensor& out, const at::Tensor& in) override {
    return behind(group_->start_reduce_scatter(out, in), "reduce_scatter", out);
  }

 private:
  WorkPtr behind(WorkPtr work, const std::string& operation, const at::Tensor& result) const {
    const bool spoils = operation == fault_.operation && rank() == fault_.rank;
    return std::make_shared<FaultyWork>(std::move(work), [=] {
      if (spoils) spoil(result);
    });
  }

  GroupPtr group_;
  Fault fault_;
};

class FaultyCommunicator final : public Communicator {
 public:
  FaultyCommunicator(CommunicatorPtr comm, const Fault& fault) : comm_(std::move(comm)), fault_(fault) {}
  int rank() const override { return comm_->rank(); }
  int size() const override { return comm_->size(); }
  GroupPtr group(const std::vector<int>& ranks, const std::string& name) override {
    return std::make_shared<FaultyGroup>(comm_->group(ranks, name), fault_);
  }
  WorkPtr send(const at::Tensor& tensor, int to, Lane lane, const std::string& what) override {
    return comm_->send(tensor, to, lane, what);
  }
  WorkPtr receive(const at::Tensor& tensor, int from, Lane lane, const std::string& what) override {
    const bool faulty = what == "link" && fault_.touches(from, rank());
    return std::make_shared<FaultyWork>(comm_->receive(tensor, from, lane, what), [=, fault = fault_] {
      if (faulty) std::this_thread::sleep_for(fault.delay);
      if (faulty && fault.changes) spoil(tensor);
    });
  }
  void abort(const Error& error) override { comm_->abort(error); }
  void at(int step, const std::string& phase) override { comm_->at(step, phase); }
  void on_failure(std::function<void(const std::string&)> report) override {
    comm_->on_failure(std::move(report));
  }
  Traffic traffic() const override { return comm_->traffic(); }

 private:
  CommunicatorPtr comm_;
  Fault fault_;
};

/// The report of ranks of which two share a host, n0, n1, ..., with a fault; all ranks have the same one.
Report measured(int ranks, const Fault& fault = {}, std::int64_t bytes = 4096) {
  std::vector<Report> all(static_cast<std::size_t>(ranks));
  run_threads(ranks, {}, [&](const CommunicatorPtr& comm) {
    FaultyCommunicator faulty(comm, fault);
    const int rank = comm->rank();
    all[static_cast<std::size_t>(rank)] = measure(faulty, {bytes, at::kCPU, cat("n", rank / 2)});
  });
  for (const Report& report : all) CHECK(to_json(report) == to_json(all.front()));
  return all.front();
}

std::vector<std::string> lines_with(const std::string& text, const std::string& word) {
  std::vector<std::string> out;
  for (const std::string& line : split(text, '\n'))
    if (line.find(word) != std::string::npos) out.push_back(line);
  return out;
}

/// As measured, without a clock: every link within a host takes 1 s, between hosts 10 s.
Report made(int ranks) {
  Report report{"MPI", 1'000'000'000, {}, {{"all_gather", 0.75, {}}}, {}};
  for (int rank = 0; rank < ranks; ++rank) {
    report.hosts.push_back(cat("n", rank / 2));
    report.collectives[0].ranks.push_back({0.25 * (1 + rank % 3), {}});
  }
  for (int from = 0; from < ranks; ++from)
    for (int to = 0; to < ranks; ++to)
      if (from != to) report.links.push_back({from, to, {from / 2 == to / 2 ? 1.0 : 10.0, {}}});
  return report;
}

}  // namespace

TEST_CASE("a self-test uses every collective and every link") {
  for (const int ranks : {1, 2, 5}) {
    const Report report = measured(ranks);
    CHECK(report.hosts.size() == static_cast<std::size_t>(ranks));
    std::vector<std::string> names;
    for (const Collective& c : report.collectives) {
      names.push_back(c.name);
      CHECK(c.ranks.size() == static_cast<std::size_t>(ranks));
      for (const Outcome& outcome : c.ranks) CHECK(outcome.seconds > 0);
    }
    CHECK(names == std::vector<std::string>{"all_reduce sum", "all_reduce max", "broadcast", "all_gather",
                                            "reduce_scatter", "all_to_all"});
    std::vector<std::pair<int, int>> links, expected;
    for (const Link& link : report.links) {
      links.emplace_back(link.from, link.to);
      CHECK(link.outcome.seconds > 0);
    }
    for (int from = 0; from < ranks; ++from)
      for (int to = 0; to < ranks; ++to)
        if (from != to) expected.emplace_back(from, to);
    CHECK(links == expected);
    CHECK(problems(report).empty());
  }
}

TEST_CASE("a self-test sends as much as it is told, a multiple of the ranks") {
  std::vector<Communicator::Traffic> traffic(3);
  run_threads(3, {}, [&](const CommunicatorPtr& comm) {
    CHECK(measure(*comm, {1000, at::kCPU, "n"}).bytes == 996);
    traffic[static_cast<std::size_t>(comm->rank())] = comm->traffic();
  });
  // Eleven times: two parts to the others, and the whole to each of both.
  for (const auto& sent : traffic) CHECK((sent.messages == 44 && sent.bytes == 11 * (2 * 332 + 2 * 996)));
  CHECK(measured(4, {}, 1).bytes == 16);  // an element for each rank
}

TEST_CASE("a wrong result names the operation, the rank and its host") {
  for (const std::string operation : {"all_reduce sum", "broadcast", "reduce_scatter"}) {
    const Report report = measured(4, {.operation = operation, .rank = 3});
    REQUIRE(problems(report).size() == 1);
    const std::string expected = operation == "all_reduce sum" ? "14" : operation == "broadcast" ? "2" : "26";
    CHECK(problems(report)[0] ==
          cat(operation, " comes out wrong on rank 3: on rank 3 of n1 in 1 element; element 2 is ",
              "-7 instead of ", expected));
  }
}

TEST_CASE("a link that changes what it brings is named by both of its ends") {
  const Report report = measured(4, {.from = 2, .to = 1, .changes = true});
  CHECK(problems(report) ==
        std::vector<std::string>{
            "what rank 2 of n1 sends rank 1 of n0 arrives wrong: 1 element; element 2 is -7 instead of 4"});
  const auto json = nlohmann::json::parse(to_json(report));
  CHECK(json["links"][7] ==
        nlohmann::json{{"from", 2},
                       {"to", 1},
                       {"seconds", json["links"][7]["seconds"]},
                       {"bytes_per_second", json["links"][7]["bytes_per_second"]},
                       {"wrong", {{"elements", 1}, {"first", 2}, {"got", -7.0}, {"expected", 4.0}}}});
  CHECK(json["problems"] == nlohmann::json(problems(report)));
}

TEST_CASE("what is wrong on many links is counted") {
  const auto lines = problems(measured(6, {.changes = true}));
  REQUIRE(lines.size() == 21);
  CHECK(lines.back() == "so does what goes over 10 more links");
}

TEST_CASE("measurements that do not reach the others as they are end the self-test") {
  CHECK_THROWS_WITH(measured(3, {.operation = "all_gather", .rank = 0}),
                    "rank 0: what this rank gave all_gather came back as something else");
}

TEST_CASE("a rank that does not take part is named with what it is missed in") {
  const auto without_rank_1 = [](const CommunicatorPtr& comm) {
    if (comm->rank() == 0) measure(*comm, {4096, at::kCPU, "n"});
  };
  CHECK_THROWS_WITH(
      run_threads(2, {std::chrono::milliseconds(250)}, without_rank_1),
      "rank 1: rank 0 waited 0.25 s for it: all_gather (64 uint8) as #0 of 'world'; it is in no "
      "operation with others (ended)");
}

TEST_CASE("a slow link is found by the clock") {
  const Report report = measured(4, {.from = 0, .to = 3, .delay = std::chrono::milliseconds(100)});
  const std::vector<Link> links = report.links_of(false);
  REQUIRE(count_slow(links) >= 1);
  CHECK((links[0].from == 0 && links[0].to == 3));
  CHECK(links[0].outcome.seconds >= 0.1);
  CHECK(problems(report).empty());
}

TEST_CASE("links are compared with those of their kind") {
  Report report = made(6);
  CHECK(to_text(report) ==
        "6 ranks on 3 hosts over MPI, 954 MiB at a time\n"
        "  n0: ranks 0, 1\n"
        "  n1: ranks 2, 3\n"
        "  n2: ranks 4, 5\n"
        "\n"
        "  all_gather             750.00 ms    1.00 GB/s   last rank 2 of n1\n"
        "  link within a host        1.00 s    1.00 GB/s   median of 6; slowest 1.00 s, rank 0 of n0 to "
        "rank 1 of "
        "n0\n"
        "  link between hosts       10.00 s    0.10 GB/s   median of 24; slowest 10.00 s, rank 0 of n0 to "
        "rank 2 of "
        "n1\n"
        "\n"
        "no link takes more than twice as long as the median of its kind\n");
  for (Link& link : report.links)
    if (link.from == 1 && link.to == 0) link.outcome.seconds = 2.5;
  CHECK(lines_with(to_text(report), "slow:") ==
        std::vector<std::string>{"slow: rank 1 of n0 to rank 0 of n0, 0.40 GB/s"});
  CHECK(nlohmann::json::parse(to_json(report))["slow_links"] ==
        nlohmann::json::array({{{"from", 1}, {"to", 0}}}));
}

TEST_CASE("a rank most of whose links are slow is named before them") {
  Report report = made(8);
  for (Link& link : report.links)
    if ((link.from == 5 || link.to == 5) && !report.within_host(link)) link.outcome.seconds = 40;
  const auto slow = lines_with(to_text(report), "slow:");
  REQUIRE(slow.size() == 13);
  CHECK(slow[0] == "slow: rank 5 of n2 on 12 of its 12 links between hosts");
  CHECK(slow[1] == "slow: rank 0 of n0 to rank 5 of n2, 25.00 MB/s");

  for (Link& link : report.links)
    if ((link.from == 4 || link.to == 4) && !report.within_host(link)) link.outcome.seconds = 40;
  const auto more = lines_with(to_text(report), "slow:");
  REQUIRE(more.size() == 23);
  CHECK(more[0] == "slow: rank 4 of n2 on 12 of its 12 links between hosts");
  CHECK(more[1] == "slow: rank 5 of n2 on 12 of its 12 links between hosts");
  CHECK(more[22] == "slow: 4 more links between hosts");
}
