#include "sample_splitter.h"

#include "catch.h"
#include "cornstarch/base/text.h"

using cornstarch::cat;
using namespace cornstarch::dataio;

namespace {

/// "line:sample" of each, from a text that comes `piece` bytes at a time; or the error.
std::vector<std::string> samples_of(const std::string& text, std::size_t piece) {
  SampleSplitter splitter;
  std::vector<std::string> out;
  std::string held;
  for (std::size_t at = 0, last = 0; last == 0; at += piece) {
    held += text.substr(at, piece);
    last = at + piece >= text.size() ? 1 : 0;
    std::vector<SamplePlace> places;
    const auto done = splitter.split(held, last == 1, places);
    if (!done) return {done.error().message};
    for (const SamplePlace& place : places)
      out.push_back(cat(place.line, ":", held.substr(place.offset, place.length)));
    held.erase(0, *done);
  }
  return out;
}

}  // namespace

TEST_CASE("samples are found wherever the text is cut into pieces") {
  const std::string mark = "\xEF\xBB\xBF";
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"", {}},
      {mark, {}},
      {" \n\n", {}},
      {mark + "\r\n{\"a\": 1}\r\n\r\n  7 \n", {"2:{\"a\": 1}", "4:7"}},
      {"{}\n[]", {"1:{}", "2:[]"}},
      {mark + " \n[\n]\n", {}},
      {mark + mark + "[]", {"1:" + mark + "[]"}},  // what is no mark is a line
      {"[{\"a\": [1, {\"b\": 2}]},\n\n \"x]},\\\"\\\\\" , 3\n]\n\n",
       {"1:{\"a\": [1, {\"b\": 2}]}", "3:\"x]},\\\"\\\\\"", "3:3"}},
      {"[{\n\"a\": \"\\\\\\\"\"\n},\n{}]", {"1:{\n\"a\": \"\\\\\\\"\"\n}", "4:{}"}},
      {"[1,\n2", {"2: the list does not end"}},
      {"[1,\n", {"2: the list does not end"}},
      {"[\n\"a]", {"2: the list does not end"}},
      {"[\n1,\n,]", {"3: a sample is missing in the list"}},
      {"[\n1,]", {"2: a sample is missing in the list"}},
      {"[\n1]\n{", {"3: text after the end of the list"}},
  };
  for (const auto& [text, wanted] : cases) {
    CAPTURE(text);
    for (std::size_t piece = 1; piece <= text.size() + 1; ++piece) {
      CAPTURE(piece);
      CHECK(samples_of(text, piece) == wanted);
    }
  }
}
