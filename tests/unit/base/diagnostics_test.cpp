#include "cornstarch/base/diagnostics.h"

#include "catch.h"

namespace cornstarch {
namespace {

SourceSpan at(int line, int column, int length, std::string text) {
  return {"run.yaml", line, column, length, std::move(text)};
}

TEST_CASE("A problem is shown with its line, a caret and help") {
  Diagnostics diagnostics;
  diagnostics.error("unknown_key", "unknown key 'tensor_paralel'", at(14, 5, 14, "    tensor_paralel: 2"),
                    "did you mean 'tp'?");
  CHECK(render_text(diagnostics) ==
        "run.yaml:14:5: error: unknown key 'tensor_paralel' [unknown_key]\n"
        "   14 |     tensor_paralel: 2\n"
        "      |     ^~~~~~~~~~~~~~\n"
        "  help: did you mean 'tp'?\n"
        "1 error\n");
}

TEST_CASE("Problems come sorted by place, each once, and are counted") {
  Diagnostics diagnostics;
  diagnostics.warning("few", "few microbatches", at(9, 1, 1, "b"));
  diagnostics.error("bad", "second", at(2, 7, 1, "a: b: c"));
  diagnostics.error("bad", "first", at(2, 1, 1, "a: b: c"));
  diagnostics.error("bad", "first", at(2, 1, 1, "a: b: c"));
  diagnostics.error("missing", "no such file", {"run.yaml", 0, 0, 1, ""});
  REQUIRE(diagnostics.sorted().size() == 4);
  CHECK(render_text(diagnostics) ==
        "run.yaml: error: no such file [missing]\n"
        "run.yaml:2:1: error: first [bad]\n"
        "    2 | a: b: c\n"
        "      | ^\n"
        "run.yaml:2:7: error: second [bad]\n"
        "    2 | a: b: c\n"
        "      |       ^\n"
        "run.yaml:9:1: warning: few microbatches [few]\n"
        "    9 | b\n"
        "      | ^\n"
        "3 errors, 1 warning\n");
}

TEST_CASE("Warnings alone are no errors") {
  Diagnostics diagnostics;
  CHECK_FALSE(diagnostics.has_errors());
  CHECK(render_text(diagnostics).empty());
  diagnostics.warning("w", "one", {});
  diagnostics.warning("w", "two", {});
  CHECK_FALSE(diagnostics.has_errors());
  CHECK(render_text(diagnostics) == "warning: one [w]\nwarning: two [w]\n2 warnings\n");
  diagnostics.error("e", "three", {});
  CHECK(diagnostics.has_errors());
}

TEST_CASE("The caret stands under its character behind tabs and letters of several bytes") {
  Diagnostics diagnostics;
  diagnostics.error("e", "m",
                    at(1, 9, 3,
                       "\tgr\xC3\xB6\xC3\x9F"
                       "e: bad"));
  CHECK(render_text(diagnostics) ==
        "run.yaml:1:9: error: m [e]\n"
        "    1 | \tgr\xC3\xB6\xC3\x9F"
        "e: bad\n"
        "      | \t       ^~~\n"
        "1 error\n");
}

TEST_CASE("The underline ends with the line, and control characters are not printed") {
  Diagnostics diagnostics;
  diagnostics.error("e", "m",
                    at(1, 3, 50,
                       "a\x1B"
                       "bc"));
  diagnostics.error("e", "end of line", at(123456, 5, 1, "abcd"), "one\ntwo");
  CHECK(render_text(diagnostics) ==
        "run.yaml:1:3: error: m [e]\n"
        "    1 | a?bc\n"
        "      |   ^~\n"
        "run.yaml:123456:5: error: end of line [e]\n"
        "123456 | abcd\n"
        "       |     ^\n"
        "  help: one\n"
        "        two\n"
        "2 errors\n");
}

TEST_CASE("Of a very long line the part around the place is shown") {
  Diagnostics diagnostics;
  diagnostics.error("e", "m", at(1, 1001, 4, std::string(1000, 'x') + "here" + std::string(1000, 'y')));
  const std::string text = render_text(diagnostics);
  CHECK(text.find("    1 | ..." + std::string(80, 'x') + "here" + std::string(76, 'y') + "...\n") !=
        std::string::npos);
  CHECK(text.find("      | " + std::string(83, ' ') + "^~~~\n") != std::string::npos);
}

TEST_CASE("The JSON report") {
  Diagnostics diagnostics;
  CHECK(render_json(diagnostics) == "{\n  \"valid\": true,\n  \"diagnostics\": []\n}\n");
  diagnostics.error("code", "a \"message\" \xFF", at(3, 4, 5, "line"), "help");
  CHECK(render_json(diagnostics) == R"({
  "valid": false,
  "diagnostics": [
    {
      "severity": "error",
      "code": "code",
      "message": "a \"message\" )"
                                    "\xEF\xBF\xBD"
                                    R"(",
      "file": "run.yaml",
      "line": 3,
      "column": 4,
      "help": "help"
    }
  ]
}
)");
}

}  // namespace
}  // namespace cornstarch
