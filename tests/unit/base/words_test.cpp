#include "cornstarch/base/words.h"

#include <unistd.h>

#include <climits>

#include "catch.h"

using namespace cornstarch;
using std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

TEST_CASE("ranks are listed, of many the first") {
  CHECK(describe_ranks({3}) == "rank 3");
  CHECK(describe_ranks({0, 3}) == "ranks 0, 3");
  CHECK(describe_ranks({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) == "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
}

TEST_CASE("durations have three digits, long ones whole seconds") {
  CHECK(describe_duration(milliseconds(250)) == "0.25 s");
  CHECK(describe_duration(milliseconds(1'500)) == "1.5 s");
  CHECK(describe_duration(Seconds(2.34567)) == "2.35 s");
  CHECK(describe_duration(milliseconds(600'000)) == "600 s");
  CHECK(describe_duration(Seconds(1'234.6)) == "1235 s");
}

TEST_CASE("shapes are lists") {
  CHECK(describe_shape({3, 40, 5}) == "[3, 40, 5]");
  CHECK(describe_shape({}) == "[]");
}

TEST_CASE("a host's name is what the system says") {
  char name[HOST_NAME_MAX + 1] = {};
  REQUIRE(::gethostname(name, HOST_NAME_MAX) == 0);
  CHECK(host_name() == name);
}

TEST_CASE("a cause is one line, whatever it holds") {
  CHECK(one_line(" disk full:\nno \x1b[1mspace \n") == "disk full: no ?[1mspace");
}
