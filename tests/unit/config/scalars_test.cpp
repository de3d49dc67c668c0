#include "scalars.h"

#include "catch.h"

namespace cornstarch::config {
namespace {

TEST_CASE("Integers are decimal") {
  CHECK(parse_integer("0")->magnitude == 0);
  CHECK(parse_integer("18446744073709551615")->magnitude == 18446744073709551615u);
  CHECK(parse_integer("-12")->negative);
  CHECK(parse_integer("-12")->magnitude == 12);
  for (const char* text :
       {"", "-", "+1", "010", "1.0", "1e3", "0x1", "1_0", " 1", "1 ", "18446744073709551616"}) {
    INFO(text);
    CHECK_FALSE(parse_integer(text).has_value());
  }
}

TEST_CASE("Numbers are decimal and finite") {
  CHECK(parse_number("1") == 1.0);
  CHECK(parse_number("-2.5e-3") == -2.5e-3);
  CHECK(parse_number("+.5") == 0.5);
  CHECK(parse_number("5.") == 5.0);
  CHECK(parse_number("1E5") == 1e5);
  CHECK(parse_number("0.1") == 0.1);
  for (const char* text :
       {"", ".", "e5", "1e", "1e+", "nan", ".inf", "inf", "1e999", "-1e999", "00.5", "0x1p3", "1,5", "1 "}) {
    INFO(text);
    CHECK_FALSE(parse_number(text).has_value());
  }
}

TEST_CASE("Only true and false are booleans") {
  CHECK(parse_bool("true") == true);
  CHECK(parse_bool("false") == false);
  for (const char* text : {"True", "TRUE", "yes", "on", "1", "0", "y", ""})
    CHECK(parse_bool(text) == std::nullopt);
}

TEST_CASE("What YAML readers differ on has a clearer spelling") {
  CHECK(clearer_spelling("yes") == "write true");
  CHECK(clearer_spelling("Off") == "write false");
  CHECK(clearer_spelling("None") == "write null");
  CHECK(clearer_spelling("007") == "write 7, without leading zeros");
  CHECK(clearer_spelling("-00.5") == "write -0.5, without leading zeros");
  CHECK(clearer_spelling("1_000") == "write 1000, without '_'");
  CHECK(clearer_spelling("0x1F") == "write a decimal number");
  CHECK(clearer_spelling("0o17") == "write a decimal number");
  CHECK(clearer_spelling("-.INF") == "write a finite number");
  CHECK(clearer_spelling("1e999") == "write a finite number");
  for (const char* text : {"1", "0.5", "true", "plain", "a_b", "1_a", "layers.0..5", "0xyz", "e5", "."}) {
    INFO(text);
    CHECK(clearer_spelling(text).empty());
  }
}

TEST_CASE("Numbers are written shortest, with a point") {
  CHECK(format_number(1) == "1.0");
  CHECK(format_number(0.1) == "0.1");
  CHECK(format_number(1e-8) == "1.0e-08");
  CHECK(format_number(2.5e30) == "2.5e+30");
  CHECK(format_number(-0.001) == "-0.001");
}

}  // namespace
}  // namespace cornstarch::config
