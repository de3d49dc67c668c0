#include <algorithm>
#include <filesystem>

#include "cornstarch/base/files.h"
#include "fixture.h"

namespace cornstarch::config::test {
namespace {

struct Case {
  std::vector<std::string> flags;
  std::string config;
  std::string expected;
};

/// cases/NAME.case: flags ("--set KEY=VALUE") one per line, the config and what must be reported, with lines
/// "----" between them.
Case parse_case(const std::string& text) {
  Case out;
  const std::string divider = "----\n";
  const std::size_t first = text.compare(0, divider.size(), divider) == 0 ? 0 : text.find("\n" + divider) + 1;
  const std::size_t last = text.rfind(divider);
  REQUIRE(first < last);
  for (const std::string& line : split(text.substr(0, first), '\n')) {
    if (!line.empty()) out.flags.push_back(line.substr(std::string("--set ").size()));
  }
  out.config = text.substr(first + divider.size(), last - first - divider.size());
  out.expected = text.substr(last + divider.size());
  return out;
}

TEST_CASE("Each mistake is reported in full") {
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CORNSTARCH_TEST_DIR "/unit/config/cases")) {
    ++cases;
    const Case each = parse_case(read_file(entry.path()).value());
    INFO(entry.path().filename().string());
    CHECK(try_load(each.config, each.flags).problems == each.expected);
  }
  CHECK(cases >= 60);
}

TEST_CASE("What is wrong has no value, and the rest of the config is read") {
  const auto outcome = try_load(
      "model: {encoders: {vision: {family: 5, config: {}, parallel: {tp: 0, stages: [a, [b]]}}}, llm: 3}\n"
      "optimizer: {lr: -1, betas: [0.5, 2], eps: 0.25}\n"
      "layout: both\n");
  REQUIRE(outcome.loaded.has_value());
  const RunConfig& config = outcome.loaded->config;
  REQUIRE(config.model.encoders.size() == 1);
  CHECK(config.model.encoders[0].family.empty());
  CHECK(config.model.encoders[0].placeholder == "<vision>");
  CHECK(config.model.encoders[0].parallel->tp == 1);
  CHECK(config.model.encoders[0].parallel->stages == std::vector<std::vector<std::string>>{{"a"}, {"b"}});
  CHECK(config.optimizer.lr == 1e-3);
  CHECK(config.optimizer.betas == std::vector<double>{0.9, 0.95});
  CHECK(config.optimizer.eps == 0.25);
  CHECK(config.layout == Layout::separate);
}

TEST_CASE("A text that is no YAML map gives no config") {
  for (const char* text : {"", "a", "- 1\n", "a: [", "\tb: 1\n"})
    CHECK_FALSE(try_load(text).loaded.has_value());
}

}  // namespace
}  // namespace cornstarch::config::test
