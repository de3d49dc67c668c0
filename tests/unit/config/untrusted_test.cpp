#include <algorithm>
#include <chrono>

#include "fixture.h"

namespace cornstarch::config::test {
namespace {

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST_CASE("Nesting has a limit") {
  const auto nested = [](int depth) {
    return try_load(cat("x: ", repeated("[", depth), repeated("]", depth), "\n")).problems;
  };
  CHECK(nested(63).find("nested") == std::string::npos);
  CHECK(nested(64) ==
        cat("run.yaml:1:67: error: values are nested more than 64 deep [too_large]\n    1 | x: ",
            repeated("[", 64), repeated("]", 64), "\n      | ", repeated(" ", 66), "^\n1 error\n"));
  CHECK_FALSE(try_load("x: " + repeated("[", 9000)).loaded.has_value());
  CHECK_FALSE(try_load(repeated("- ", 4000)).loaded.has_value());
}

TEST_CASE("An alias bomb counts as what it stands for") {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c <= 'z'; ++c) {
    const std::string before = cat("*", static_cast<char>(c - 1));
    bomb += cat(c, ": &", c, " [", repeated(before + ", ", 9), before, "]\n");
  }
  const std::string problems = try_load(bomb).problems;
  CHECK(problems.find("the text holds more than 100000 values, aliases counted in full [too_large]") !=
        std::string::npos);
  CHECK(std::count(problems.begin(), problems.end(), '\n') <= 5);
}

TEST_CASE("Aliases do not add up to more depth than is allowed") {
  std::string deep = cat("a: &a ", repeated("[", 40), repeated("]", 40), "\n");
  deep += cat("b: ", repeated("[", 40), "*a", repeated("]", 40), "\n");
  CHECK(try_load(deep).problems.find("nested more than 64 deep") != std::string::npos);
}

TEST_CASE("Size, line length and encoding have limits") {
  CHECK(try_load(std::string((1 << 20) + 1, ' ')).problems ==
        "run.yaml: error: the config is larger than 1 MiB [too_large]\n1 error\n");
  CHECK(try_load("seed: 1\nrun_dir: " + std::string(10000, 'x') + "\n").problems ==
        "run.yaml: error: line 2 is longer than 10000 bytes [too_large]\n1 error\n");
  const std::string no_text = "run.yaml: error: the config is no UTF-8 text [yaml_syntax]\n1 error\n";
  CHECK(try_load("seed: \xFF\n").problems == no_text);
  CHECK(try_load(std::string("seed: 1\0\n", 9)).problems == no_text);
  CHECK(try_load("seed: \xC3").problems == no_text);
  CHECK(try_load(std::string("\xFF\xFEs\0e\0", 6)).problems == no_text);
}

TEST_CASE("A report ends where nobody reads on") {
  std::string text = "a: [";
  for (int i = 0; i < 3000; ++i) text += cat("\nkey", i, ": 1");
  text.replace(0, 4, "a: 1");
  const std::string problems = try_load(text).problems;
  CHECK(problems.find("run.yaml: error: there are more problems than are shown here [too_many]") == 0);
  CHECK(problems.find("\n200 errors\n") != std::string::npos);
}

TEST_CASE("Hostile texts take no time") {
  const auto begin = std::chrono::steady_clock::now();
  (void)try_load(repeated("a: [x, y, {b: c}]\n", 30000));
  (void)try_load(repeated(repeated("k", 200) + ": &a *a\n", 4000));
  (void)try_load("x: " + repeated("{a: ", 60) + repeated("}", 60));
  (void)try_load(repeated("[[[[\n", 200000));
  (void)try_load("'" + repeated("'' \n", 200000));
  (void)try_load(repeated("&a ", 3000) + "\n");
  CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() < 20.0);
}

}  // namespace
}  // namespace cornstarch::config::test
