#include "cornstarch/base/utf8.h"

#include "catch.h"

using namespace cornstarch;

TEST_CASE("characters are as long as Unicode has them well-formed") {
  CHECK(utf8_length("a\x80") == 1);
  CHECK(utf8_length("\xC3\xA9") == 2);
  CHECK(utf8_length("\xE4\xB8\x96!") == 3);
  CHECK(utf8_length("\xF0\x9F\x98\x80") == 4);
  for (const char* broken :
       {"", "\x80", "\xC0\x80", "\xC3", "\xED\xA0\x80", "\xE0\x80\x80", "\xF4\x90\x80\x80", "\xFF"})
    CHECK(utf8_length(broken) == 0);
  CHECK(is_utf8("na\xC3\xAFve"));
  CHECK(!is_utf8("na\xC3"));
  CHECK(lossy_utf8("a\xE4\xB8"
                   "b\xFF\xC3\xA9") ==
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD\xC3\xA9");
}

TEST_CASE("codes as characters") {
  CHECK(utf8_of(0x41) == "A");
  CHECK(utf8_of(0xE9) == "\xC3\xA9");
  CHECK(utf8_of(0x4E16) == "\xE4\xB8\x96");
  CHECK(utf8_of(0x1F600) == "\xF0\x9F\x98\x80");
}

TEST_CASE("white space is what Python has it for") {
  unsigned spaces = 0;
  for (unsigned code = 1; code < 0x11000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    const std::string letter = utf8_of(code);
    const bool space = trim_unicode(letter).empty();
    CHECK(space == trim_start(letter).empty());
    CHECK(space == trim_end(letter).empty());
    spaces += space ? code : 0;
  }
  CHECK(spaces == 141704);  // sum(c for c in range(0x11000) if chr(c).isspace())
  CHECK(trim_start("\xE3\x80\x80 a\xC2\xA0") == "a\xC2\xA0");
  CHECK(trim_end("\xE3\x80\x80 a\xC2\xA0") == "\xE3\x80\x80 a");
  CHECK(trim_unicode(" \x1C\n").empty());
}
