#include "catch.h"
#include "cornstarch/launch/environment.h"

using namespace cornstarch;
using namespace cornstarch::launch;
using Hosts = std::vector<std::string>;

TEST_CASE("host lists expand as Slurm's do") {
  REQUIRE(*expand_hostlist("login") == Hosts{"login"});
  REQUIRE(*expand_hostlist("a,b.example.org") == Hosts{"a", "b.example.org"});
  REQUIRE(*expand_hostlist("n[01-03,7],login") == Hosts{"n01", "n02", "n03", "n7", "login"});
  REQUIRE(*expand_hostlist("n[9-11]") == Hosts{"n9", "n10", "n11"});
  REQUIRE(*expand_hostlist("n[098-101]-ib") == Hosts{"n098-ib", "n099-ib", "n100-ib", "n101-ib"});
  REQUIRE(*expand_hostlist("r[1-2]n[3,5]") == Hosts{"r1n3", "r1n5", "r2n3", "r2n5"});
}

TEST_CASE("host lists that cannot be are refused") {
  const auto message = [](const std::string& text) {
    const auto hosts = expand_hostlist(text);
    REQUIRE_FALSE(hosts.has_value());
    REQUIRE(hosts.error().code == ExitCode::launch);
    REQUIRE(hosts.error().help == "it looks like n[01-03,7],login");
    return hosts.error().message;
  };
  REQUIRE(message("") == "host list '': a name is empty");
  REQUIRE(message("a,,b") == "host list 'a,,b': a name is empty");
  REQUIRE(message("a,") == "host list 'a,': a name is empty");
  REQUIRE(message("n[1-3") == "host list 'n[1-3': its brackets do not match");
  REQUIRE(message("n1-3]") == "host list 'n1-3]': its brackets do not match");
  REQUIRE(message("n[[1]]") == "host list 'n[[1]]': its brackets do not match");
  REQUIRE(message("n[]") == "host list 'n[]': '' is no range");
  REQUIRE(message("n[3-1]") == "host list 'n[3-1]': '3-1' is no range");
  REQUIRE(message("n[1-x]") == "host list 'n[1-x]': '1-x' is no range");
  REQUIRE(message("n[-3]") == "host list 'n[-3]': '-3' is no range");
  REQUIRE(message("n[1-2-3]") == "host list 'n[1-2-3]': '1-2-3' is no range");
  REQUIRE(message("n[0-999999999]") == "host list 'n[0-999999999]': too many hosts");
  REQUIRE(message("n[1-1000]x[1-1000]") == "host list 'n[1-1000]x[1-1000]': too many hosts");
  const std::string longest(250, 'n');
  REQUIRE(expand_hostlist(longest + "[1-2]ab"));
  REQUIRE(message(longest + "[1-2]abcdef") ==
          "host list '" + longest + "[1-2]abcdef': a name is longer than 255 letters");
  REQUIRE(message("n[99999999999999999999]") ==
          "host list 'n[99999999999999999999]': '99999999999999999999' is no range");
}
