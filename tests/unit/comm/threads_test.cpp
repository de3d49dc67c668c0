#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Event.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <thread>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/comm/communicator.h"
#include "faulty_steps.h"

using namespace cornstarch;
using namespace cornstarch::comm;
using std::chrono::milliseconds;

namespace {

const Deadline kShort{milliseconds(250)};
const Deadline kLong{milliseconds(60'000)};

/// Catch2's assertions belong to one thread; a rank throws instead, which ends the run.
void expect(bool fact, int line = __builtin_LINE()) {
  if (!fact) throw std::runtime_error(cat("what line ", line, " expects is not so"));
}

/// The error that a run ends with.
Error error_of(int num_ranks, Deadline deadline, const std::function<void(CommunicatorPtr)>& body) {
  try {
    run_threads(num_ranks, deadline, body);
  } catch (const Failure& failure) {
    return failure.error();
  }
  return {ExitCode::ok, "no failure", {}};
}

at::Tensor vector_of(std::initializer_list<double> values, at::ScalarType type = at::kDouble) {
  return at::tensor(std::vector<double>(values)).to(type);
}

}  // namespace

TEST_CASE("every rank runs once and knows the world") {
  std::atomic<int> mask{0};
  run_threads(5, kLong, [&](const CommunicatorPtr& comm) {
    mask |= 1 << comm->rank();
    expect(comm->size() == 5);
  });
  REQUIRE(mask == 31);
}

TEST_CASE("all_reduce gives sum and max in every dtype") {
  for (const auto type : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                          at::kChar, at::kByte}) {
    std::atomic<int> right{0};
    run_threads(3, kLong, [&](const CommunicatorPtr& comm) {
      const double r = comm->rank();
      const auto sum = vector_of({r, 2 * r + 1, 7}, type);
      comm->world()->all_reduce(sum);
      const auto max = vector_of({r, 4 - r, 7}, type);
      comm->world()->all_reduce(max, Reduce::max);
      right += at::equal(sum, vector_of({3, 9, 21}, type)) && at::equal(max, vector_of({2, 4, 7}, type));
    });
    REQUIRE(right == 3);
  }
}

TEST_CASE("bools are or-ed and NaN wins a max") {
  std::atomic<int> right{0};
  run_threads(2, kLong, [&](const CommunicatorPtr& comm) {
    const auto flags = vector_of({comm->rank() == 0 ? 1.0 : 0.0, 0, 1}, at::kBool);
    comm->world()->all_reduce(flags);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto values = comm->rank() == 0 ? vector_of({nan, 1}) : vector_of({5, nan});
    comm->world()->all_reduce(values, Reduce::max);
    right += at::equal(flags, vector_of({1, 0, 1}, at::kBool)) && std::isnan(values[0].item<double>()) &&
             std::isnan(values[1].item<double>());
  });
  REQUIRE(right == 2);
}

TEST_CASE("sums are made in the order of ranks and are the same bits everywhere") {
  const std::vector<float> parts{1e8F, 1.0F, -1e8F, 1.0F};
  const float expected = ((parts[0] + parts[1]) + parts[2]) + parts[3];
  std::atomic<int> right{0};
  run_threads(4, kLong, [&](const CommunicatorPtr& comm) {
    const auto mine = at::full({20'000}, parts[static_cast<std::size_t>(comm->rank())], at::kFloat);
    comm->world()->all_reduce(mine);
    right += at::equal(mine, at::full({20'000}, expected, at::kFloat));
  });
  REQUIRE(right == 4);
}

TEST_CASE("broadcast, all_gather, reduce_scatter") {
  std::atomic<int> right{0};
  run_threads(3, kLong, [&](const CommunicatorPtr& comm) {
    const double r = comm->rank();
    const auto world = comm->world();
    const auto sent = vector_of({r, r + 10});
    world->broadcast(sent, 2);
    const auto gathered = at::zeros({6}, at::kDouble);
    world->all_gather(gathered, vector_of({r, r + 10}));
    const auto scattered = at::zeros({2}, at::kDouble);
    world->reduce_scatter(scattered, vector_of({1, 2, 3, 4, 5, r}));
    const std::vector<at::Tensor> sums{vector_of({3, 6}), vector_of({9, 12}), vector_of({15, 3})};
    right += at::equal(sent, vector_of({2, 12})) && at::equal(gathered, vector_of({0, 10, 1, 11, 2, 12})) &&
             at::equal(scattered, sums[static_cast<std::size_t>(comm->rank())]);
  });
  REQUIRE(right == 3);
}

TEST_CASE("all_gather accepts this rank's part of the result") {
  std::atomic<int> right{0};
  run_threads(3, kLong, [&](const CommunicatorPtr& comm) {
    const auto all = at::full({3, 2}, -1, at::kLong);
    const auto mine = all.select(0, comm->rank()).fill_(comm->rank());
    comm->world()->all_gather(all, mine);
    right += at::equal(all, at::arange(3).unsqueeze(1).expand({3, 2}));
  });
  REQUIRE(right == 3);
}

TEST_CASE("empty tensors pass through everything") {
  run_threads(2, kLong, [](const CommunicatorPtr& comm) {
    const auto none = at::zeros({0}, at::kFloat);
    comm->world()->all_reduce(none);
    comm->world()->broadcast(none, 1);
    comm->world()->all_gather(none, none.clone());
    comm->world()->reduce_scatter(none, none.clone());
    if (comm->rank() == 0) comm->send(none, 1, Lane{0}, "none")->wait();
    if (comm->rank() == 1) comm->receive(none, 0, Lane{0}, "none")->wait();
  });
}

TEST_CASE("groups that share ranks or repeat them do not mix") {
  std::atomic<int> right{0};
  run_threads(4, kLong, [&](const CommunicatorPtr& comm) {
    const int r = comm->rank();
    const auto pair = comm->group(r < 2 ? std::vector{0, 1} : std::vector{2, 3}, "pairs");
    const auto again = comm->group(r < 2 ? std::vector{0, 1} : std::vector{2, 3}, "pairs again");
    const auto cross = comm->group(r % 2 == 0 ? std::vector{0, 2} : std::vector{1, 3}, "cross");
    const auto a = at::full({3}, r, at::kLong), b = at::full({3}, 10 * r, at::kLong),
               c = at::full({5}, r, at::kLong);
    const auto first = pair->start_all_reduce(a, Reduce::sum);
    const auto second = again->start_all_reduce(b, Reduce::sum);
    const auto third = cross->start_all_reduce(c, Reduce::max);
    third->wait();
    second->wait();
    first->wait();
    const int sum = r < 2 ? 1 : 5;
    right += pair->rank() == r % 2 && cross->rank() == r / 2 && pair->size() == 2 &&
             at::equal(a, at::full({3}, sum, at::kLong)) &&
             at::equal(b, at::full({3}, 10 * sum, at::kLong)) &&
             at::equal(c, at::full({5}, 2 + r % 2, at::kLong));
  });
  REQUIRE(right == 4);
}

TEST_CASE("a collective started early completes behind the back of its rank") {
  run_threads(2, kLong, [](const CommunicatorPtr& comm) {
    const auto world = comm->world();
    std::vector<at::Tensor> tensors;
    std::vector<WorkPtr> works;
    for (int i = 0; i < 50; ++i) {
      tensors.push_back(at::full({100}, i + comm->rank(), at::kFloat));
      works.push_back(world->start_all_reduce(tensors.back(), Reduce::sum));
    }
    for (int i = 49; i >= 0; --i) {
      works[static_cast<std::size_t>(i)]->wait();
      expect(works[static_cast<std::size_t>(i)]->done());
      expect(tensors[static_cast<std::size_t>(i)][99].item<float>() == static_cast<float>(2 * i + 1));
    }
  });
}

TEST_CASE("every seam has a lane for each direction, and no lane is two") {
  std::set<Lane> lanes{Lane::context, Lane::weights, Lane::selftest};
  for (int seam = 0; seam < 8000; ++seam)
    for (const bool gradients : {false, true}) lanes.insert(lane_of_seam(seam, gradients));
  CHECK(lanes.size() == 16'003);
  CHECK_THROWS_WITH(lane_of_seam(8000, false), "there is no lane for seam 8000");
  CHECK_THROWS_WITH(lane_of_seam(-1, true), "there is no lane for seam -1");
}

TEST_CASE("messages of one lane keep their order, other lanes overtake") {
  run_threads(2, kLong, [](const CommunicatorPtr& comm) {
    if (comm->rank() == 0) {
      const auto a = at::full({4}, 1, at::kFloat), b = at::full({4}, 2, at::kFloat),
                 c = at::full({4}, 3, at::kFloat);
      const auto first = comm->send(a, 1, Lane{7}, "first");
      const auto second = comm->send(b, 1, Lane{7}, "second");
      comm->send(c, 1, Lane{8}, "third")->wait();
      expect(!first->done());
      comm->world()->barrier();
      first->wait();
      second->wait();
    } else {
      const auto into = at::zeros({2, 2}, at::kFloat);
      comm->receive(into, 0, Lane{8}, "third")->wait();
      expect(into[1][1].item<float>() == 3);
      comm->world()->barrier();
      comm->receive(into, 0, Lane{7}, "first")->wait();
      expect(into[1][1].item<float>() == 1);
      comm->receive(into, 0, Lane{7}, "second")->wait();
      expect(into[1][1].item<float>() == 2);
    }
  });
}

TEST_CASE("a receive can be posted ahead, and a rank can write to itself") {
  run_threads(2, kLong, [](const CommunicatorPtr& comm) {
    const auto into = at::zeros({3}, at::kLong);
    const auto ahead = comm->receive(into, 1 - comm->rank(), Lane{0}, "ahead");
    expect(!(comm->rank() == 0 && ahead->done()));
    comm->world()->barrier();
    comm->send(at::full({3}, comm->rank(), at::kLong), 1 - comm->rank(), Lane{0}, "ahead");
    ahead->wait();
    expect(into[2].item<long>() == 1 - comm->rank());
    const auto self = comm->send(at::full({1}, 9, at::kLong), comm->rank(), Lane{1}, "self");
    const auto got = at::zeros({1}, at::kLong);
    comm->receive(got, comm->rank(), Lane{1}, "self")->wait();
    self->wait();
    expect(got.item<long>() == 9);
  });
}

TEST_CASE("traffic counts what was sent") {
  run_threads(2, kLong, [](const CommunicatorPtr& comm) {
    comm->world()->all_reduce(at::zeros({8}, at::kFloat));
    if (comm->rank() == 0) comm->send(at::zeros({5}, at::kDouble), 1, Lane{0}, "x")->wait();
    if (comm->rank() == 1) comm->receive(at::zeros({5}, at::kDouble), 0, Lane{0}, "x")->wait();
    const auto traffic = comm->traffic();
    expect(traffic.messages == (comm->rank() == 0 ? 1 : 0));
    expect(traffic.bytes == (comm->rank() == 0 ? 40 : 0));
    expect(traffic.collectives == 1);
    expect(traffic.collective_bytes == 32);
  });
}

TEST_CASE("a backend without streams of its own times no transfers") {
  run_threads(2, kLong, [](const CommunicatorPtr& comm) {
    comm->time_transfers(true);
    comm->world()->all_reduce(vector_of({1, 2}));
    expect(comm->take_transfers(c10::Event(at::kCPU)).empty());
  });
}

TEST_CASE("a communicator of one") {
  const auto comm = alone();
  REQUIRE(comm->rank() == 0);
  REQUIRE(comm->size() == 1);
  const auto tensor = vector_of({1, 2}), out = at::zeros({2}, at::kDouble);
  comm->world()->all_reduce(tensor);
  comm->world()->broadcast(tensor, 0);
  comm->world()->barrier();
  comm->world()->all_gather(out, tensor);
  REQUIRE(at::equal(out, vector_of({1, 2})));
  comm->world()->reduce_scatter(tensor, vector_of({3, 4}));
  REQUIRE(at::equal(tensor, vector_of({3, 4})));
  REQUIRE(comm->traffic().collectives == 0);
}

TEST_CASE("ranks that call different collectives are told so") {
  const auto error = error_of(2, kLong, [](const CommunicatorPtr& comm) {
    const auto tensor = at::zeros({2, 3}, at::kFloat);
    const auto group = comm->group({0, 1}, "tp of llm stage 2");
    group->barrier();
    if (comm->rank() == 0) {
      group->start_all_reduce(tensor, Reduce::sum);
      comm->send(tensor, 1, Lane{0}, "go")->wait();
    } else {
      comm->receive(tensor, 0, Lane{0}, "go")->wait();
      group->broadcast(tensor, 1);
    }
  });
  REQUIRE(error.code == ExitCode::protocol);
  REQUIRE(error.message ==
          "rank 0: called all_reduce sum (2x3 fp32) as #1 of 'tp of llm stage 2', where rank 1 called "
          "broadcast from "
          "member 1 (2x3 fp32)");
}

TEST_CASE("ranks that bring different shapes or dtypes are told so") {
  const auto mismatch = [](const at::Tensor& zero, const at::Tensor& one) {
    return error_of(2, kLong,
                    [&](const CommunicatorPtr& comm) {
                      const auto flag = at::zeros({1}, at::kByte);
                      if (comm->rank() == 1) comm->receive(flag, 0, Lane{0}, "go")->wait();
                      const auto work =
                          comm->world()->start_all_reduce(comm->rank() == 0 ? zero : one, Reduce::max);
                      if (comm->rank() == 0) comm->send(flag, 1, Lane{0}, "go")->wait();
                      if (comm->rank() == 1) work->wait();
                    })
        .message;
  };
  REQUIRE(
      mismatch(at::zeros({3}, at::kFloat), at::zeros({4}, at::kFloat)) ==
      "rank 0: called all_reduce max (3 fp32) as #0 of 'world', where rank 1 called all_reduce max (4 fp32)");
  REQUIRE(
      mismatch(at::zeros({3}, at::kFloat), at::zeros({3}, at::kDouble)) ==
      "rank 0: called all_reduce max (3 fp32) as #0 of 'world', where rank 1 called all_reduce max (3 fp64)");
}

TEST_CASE("a message that does not fit its receive fails at both ends") {
  const auto error = error_of(2, kLong, [](const CommunicatorPtr& comm) {
    if (comm->rank() == 0)
      comm->send(at::zeros({2, 3}, at::kFloat), 1, Lane{4}, "activations of microbatch 3")->wait();
    if (comm->rank() == 1)
      comm->receive(at::zeros({2, 2}, at::kFloat), 0, Lane{4}, "activations of microbatch 2")->wait();
  });
  REQUIRE(error.code == ExitCode::protocol);
  REQUIRE(error.message.substr(8) ==
          "rank 0 sent 'activations of microbatch 3' (2x3 fp32) where rank 1 receives 'activations of "
          "microbatch 2' "
          "(2x2 fp32), tag 4");
}

TEST_CASE("a collective that a rank does not join ends at the deadline, naming who and what") {
  const auto error = error_of(4, kShort, [](const CommunicatorPtr& comm) {
    comm->world()->barrier();
    const auto group = comm->group({0, 1, 2, 3}, "tp of llm stage 2");
    if (comm->rank() == 3) group->all_reduce(at::zeros({512}, at::kFloat));
    if (comm->rank() == 0) group->start_all_reduce(at::zeros({512}, at::kFloat), Reduce::sum);
  });
  REQUIRE(error.code == ExitCode::protocol);
  REQUIRE(error.message ==
          "rank 1: rank 3 waited 0.25 s for it: all_reduce sum (512 fp32) as #0 of 'tp of llm stage 2'; it "
          "is in no "
          "operation with others (ended)");
}

TEST_CASE("of groups with one name the one that waits is meant") {
  const auto error = error_of(3, kShort, [](const CommunicatorPtr& comm) {
    const auto first = comm->group({0, 1, 2}, "dp"), second = comm->group({0, 1, 2}, "dp");
    first->barrier();
    if (comm->rank() == 1) {  // computes what it waits for later
      const auto work = second->start_all_reduce(at::zeros({4}, at::kFloat), Reduce::sum);
      std::this_thread::sleep_for(milliseconds(1'000));
      work->wait();
    }
    if (comm->rank() == 0) second->all_reduce(at::zeros({4}, at::kFloat));
  });
  REQUIRE(
      error.message ==
      "rank 2: rank 0 waited 0.25 s for it: all_reduce sum (4 fp32) as #0 of 'dp (2)'; it is in no operation "
      "with others (ended)");
}

TEST_CASE("messages that nobody sends or takes end at the deadline") {
  REQUIRE(error_of(2, kShort,
                   [](const CommunicatorPtr& comm) {
                     if (comm->rank() == 1)
                       comm->receive(at::zeros({2, 8}, at::kFloat), 0, Lane{5}, "gradients")->wait();
                   })
              .message ==
          "rank 0: rank 1 waited 0.25 s for it: receive of 'gradients' (2x8 fp32), tag 5; it is in no "
          "operation with "
          "others (ended)");
  REQUIRE(error_of(2, kShort,
                   [](const CommunicatorPtr& comm) {
                     if (comm->rank() == 1)
                       comm->send(at::zeros({}, at::kLong), 0, Lane{5}, "gradients")->wait();
                   })
              .message ==
          "rank 0: rank 1 waited 0.25 s for it: send of 'gradients' (scalar int64), tag 5; it is in no "
          "operation with "
          "others (ended)");
}

TEST_CASE("whichever rank goes wrong in whichever way, it is named") {
  int cases = 0, right = 0;
  for (const char* kind : {"throws", "ends", "skip_first", "skip_tp", "skip_dp", "skip_world", "skip_send",
                           "other_op", "shape"}) {
    for (int rank = 0; rank < 4; ++rank) {
      if (std::string(kind) == "skip_send" && rank > 1) continue;
      const auto error = error_of(4, kShort, [&](const CommunicatorPtr& comm) {
        struct Ends {};
        try {
          faulty_steps(*comm, 6, {kind, rank, 4}, [&] {
            if (std::string(kind) == "throws") throw Failure(ExitCode::io, "disk full");
            if (std::string(kind) == "ends") throw Ends();
          });
        } catch (const Ends&) {
          return;  // as a process that ends without a word
        }
      });
      ++cases;
      const bool named = error.message.rfind(cat("rank ", rank, ": "), 0) == 0;
      right += named;
      if (!named) UNSCOPED_INFO(kind << ":" << rank << ": " << error.message);
    }
  }
  CHECK(cases == 34);
  CHECK(right * 40 >= cases * 38);
}

TEST_CASE("what all ranks were at is reported once, by the time the run has ended") {
  std::vector<std::string> reports;
  error_of(3, kLong, [&](const CommunicatorPtr& comm) {
    if (comm->rank() == 0) comm->on_failure([&](const std::string& text) { reports.push_back(text); });
    comm->at(5, "training");
    comm->world()->barrier();
    if (comm->rank() == 2) throw Failure(ExitCode::io, "disk full");
    comm->world()->barrier();
  });
  REQUIRE(reports.size() == 1);
  CHECK(reports[0].find("\"rank\": 2,\n  \"host\": \"\",\n  \"code\": 74,\n  \"step\": 5,") !=
        std::string::npos);
  CHECK(reports[0].find("\"msg\": \"disk full\"") != std::string::npos);
  CHECK(reports[0].find("all_reduce max (1 uint8)") != std::string::npos);
}

TEST_CASE("a rank that throws ends the waits of all others") {
  std::atomic<int> told{0};
  const auto start = std::chrono::steady_clock::now();
  const auto error = error_of(5, kLong, [&](const CommunicatorPtr& comm) {
    comm->world()->barrier();
    if (comm->rank() == 3) throw Failure(ExitCode::io, "disk full", "delete something");
    try {
      if (comm->rank() % 2 == 0) comm->world()->barrier();
      comm->receive(at::zeros({1}, at::kByte), 3, Lane{0}, "nothing")->wait();
    } catch (const Failure& failure) {
      told += failure.error().code == ExitCode::peer_failed &&
              std::string(failure.what()) == "stopped because rank 3 failed: disk full";
      throw;
    }
  });
  REQUIRE(told == 4);
  REQUIRE(error.code == ExitCode::io);
  REQUIRE(error.message == "rank 3: disk full");
  REQUIRE(error.help == "delete something");
  REQUIRE(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
}

TEST_CASE("whoever is busy with something else hears of a failure when it asks") {
  std::atomic<bool> told{false};
  error_of(2, kLong, [&](const CommunicatorPtr& comm) {
    comm->check();
    comm->world()->barrier();
    if (comm->rank() == 1) throw Failure(ExitCode::io, "disk full");
    for (int i = 0; i < 1000; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      try {
        comm->check();
      } catch (const Failure& failure) {
        told = std::string(failure.what()) == "stopped because rank 1 failed: disk full";
        return;
      }
    }
  });
  REQUIRE(told);
}

TEST_CASE("abort, foreign exceptions and wrong use are failures with a rank") {
  REQUIRE(error_of(2, kLong, [](const CommunicatorPtr& comm) {
            if (comm->rank() == 1) comm->abort("no more coffee");
            if (comm->rank() == 0) comm->world()->barrier();
          }).message == "rank 1: no more coffee");
  REQUIRE(error_of(1, kLong, [](const CommunicatorPtr&) { throw std::runtime_error("plain"); }).message ==
          "rank 0: plain");
  REQUIRE(error_of(1, kLong, [](const CommunicatorPtr&) { throw 3; }).message ==
          "rank 0: an exception of unknown type");
  REQUIRE(error_of(2, kLong, [](const CommunicatorPtr& comm) {
            if (comm->rank() == 0) comm->world()->all_reduce(at::zeros({4, 4}, at::kFloat).t());
          }).message == "rank 0: all_reduce: the tensor (4x4 fp32) must be contiguous and on the CPU");
  REQUIRE(error_of(2, kLong, [](const CommunicatorPtr& comm) {
            if (comm->rank() == 0) comm->world()->all_gather(at::zeros({5}), at::zeros({2}));
          }).message == "rank 0: all_gather: 5 fp32 is not 2 times 2 fp32");
  REQUIRE(error_of(3, kLong,
                   [](const CommunicatorPtr& comm) {
                     if (comm->rank() == 0) comm->group({1, 2}, "tp");
                   })
              .message ==
          "rank 0: group 'tp' of ranks 1, 2: the ranks must ascend within a world of 3 and contain rank 0");
}

TEST_CASE("random traffic of eight ranks arrives as it should") {
  constexpr int kRanks = 8, kRounds = 300;
  run_threads(kRanks, kLong, [](const CommunicatorPtr& comm) {
    const int r = comm->rank();
    const auto half = comm->group(r < 4 ? std::vector{0, 1, 2, 3} : std::vector{4, 5, 6, 7}, "half");
    const auto column = comm->group({r % 4, r % 4 + 4}, "column");
    std::mt19937 shared(17);  // the same draws on every rank
    std::vector<WorkPtr> works;
    std::vector<std::pair<at::Tensor, long>> expected;
    for (int round = 0; round < kRounds; ++round) {
      const long size = 1 + static_cast<long>(shared() % 5000);
      const int shift = 1 + static_cast<int>(shared() % (kRanks - 1)), tag = static_cast<int>(shared() % 3);
      const auto in = at::zeros({size}, at::kLong);
      works.push_back(comm->receive(in, (r + kRanks - shift) % kRanks, Lane{tag}, "ring"));
      expected.emplace_back(in, 1000L * round + (r + kRanks - shift) % kRanks);
      works.push_back(comm->send(at::full({size}, 1000L * round + r, at::kLong), (r + shift) % kRanks,
                                 Lane{tag}, "ring"));
      const auto& group = shared() % 2 == 0 ? half : column;
      const auto sum = at::full({size}, round + r, at::kLong);
      works.push_back(group->start_all_reduce(sum, Reduce::sum));
      long total = 0;
      for (const int member : group->ranks()) total += round + member;
      expected.emplace_back(sum, total);
      while (shared() % 4 == 0 && !works.empty()) {
        works.back()->wait();
        works.pop_back();
      }
    }
    for (const auto& work : works) work->wait();
    for (const auto& [tensor, value] : expected) {
      if (!at::equal(tensor, at::full({tensor.numel()}, value, at::kLong))) {
        throw Failure(ExitCode::internal, cat("wrong value, expected ", value));
      }
    }
  });
}
