#include "cornstarch/base/text.h"

#include "catch.h"

namespace cornstarch {
namespace {

TEST_CASE("cat, join, split and trim") {
  CHECK(cat("a", 1, ' ', 2.5) == "a1 2.5");
  CHECK(join({}, ", ").empty());
  CHECK(join({"a", "b", "c"}, ", ") == "a, b, c");
  CHECK(split("a,,b", ',') == std::vector<std::string>{"a", "", "b"});
  CHECK(split("", ',') == std::vector<std::string>{""});
  CHECK(trim(" \t a b\r\n") == "a b");
  CHECK(trim(" \n ").empty());
}

TEST_CASE("Edit distance counts a transposition as one slip") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("tp", "pt") == 1);
  CHECK(edit_distance("optimizer", "optimzier") == 1);
  CHECK(edit_distance("ca", "abc") == 3);  // optimal string alignment, not full Damerau-Levenshtein
}

TEST_CASE("The nearest candidate is only offered for a likely slip") {
  const std::vector<std::string> keys = {"tp", "sp", "mode", "stages", "adamw"};
  CHECK(nearest("stage", keys) == "stages");
  CHECK(nearest("stgaes", keys) == "stages");
  CHECK(nearest("pt", keys) == "tp");
  CHECK(nearest("AdamW", keys) == "adamw");
  CHECK(nearest("x", keys) == std::nullopt);
  CHECK(nearest("model", keys) == "mode");
  CHECK(nearest("learning_rate", keys) == std::nullopt);
  CHECK(nearest("", keys) == std::nullopt);
  CHECK(nearest(std::string(100000, 'a'), keys) == std::nullopt);
  CHECK(did_you_mean("stagse", keys) == "did you mean 'stages'?");
  CHECK(did_you_mean("tokenizer", keys).empty());
}

TEST_CASE("Bytes for people") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(17) == "17 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1024) == "1 KiB");
  CHECK(human_bytes(1536.0 * 1024 * 1024) == "1.5 GiB");
  CHECK(human_bytes(312.4 * 1024 * 1024) == "312 MiB");
  CHECK(human_bytes(1024.0 * 1024 - 1) == "1 MiB");
  CHECK(human_bytes(-2048) == "-2 KiB");
}

}  // namespace
}  // namespace cornstarch
