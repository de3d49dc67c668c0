#include "cornstarch/base/untrusted.h"

#include "catch.h"

namespace cornstarch {
namespace {

TEST_CASE("What a terminal might obey is replaced") {
  CHECK(harmless("a\x1b[31mb\r\n\tc\x7f") == "a?[31mb?\n\tc?");
  CHECK(harmless("\xC2\x9B"
                 "31m \xC2\xA0 \u00e9\u4f60 \xC2") == "?31m \xC2\xA0 \u00e9\u4f60 \xC2");
  CHECK(harmless({"a\0b", 3}) == "a?b");
}

TEST_CASE("Brackets in strings are no nesting") {
  CHECK_FALSE(nests_deeper(R"({"a": [1, {"b": 2}]})", 3));
  CHECK(nests_deeper(R"({"a": [1, {"b": 2}]})", 2));
  CHECK_FALSE(nests_deeper(R"(["[[[", "\"[[", "\\", []])", 2));
  CHECK(nests_deeper(R"(["[[[", "\"[[", "\\", [[]]])", 2));
  CHECK_FALSE(nests_deeper("[][][]]]][", 1));
}

}  // namespace
}  // namespace cornstarch
