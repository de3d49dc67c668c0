#include "cornstarch/dataio/prompt.h"

#include <algorithm>
#include <filesystem>

#include "catch.h"
#include "cornstarch/base/random.h"

namespace {

using namespace cornstarch;
using namespace cornstarch::dataio;
namespace fs = std::filesystem;

const fs::path kExample = fs::path(CORNSTARCH_SOURCE_DIR) / "configs" / "example";
const fs::path kGolden = fs::path(CORNSTARCH_TEST_DIR) / "golden" / "dataio";

Asked asked(const std::string& json) {
  const auto read = read_asked(json);
  INFO((read ? std::string() : read.error().message));
  REQUIRE(read.has_value());
  return *read;
}

std::string problem(const std::string& json) {
  const auto read = read_asked(json);
  return read ? "none" : read.error().message;
}

MediaSource pictures(const std::string& placeholder) {
  MediaSource source;
  source.placeholder = placeholder;
  source.features = [](const catalog::Extents&) { return std::int64_t{3}; };
  source.item_shape = {3, 8, 8};
  return source;
}

Prompter prompter(std::vector<MediaSource> media) {
  ConversationOptions options;
  options.tokenizer = kExample / "tokenizer.json";
  options.chat_template = "plain";
  options.media = std::move(media);
  auto made = Prompter::make(std::move(options));
  INFO((made ? std::string() : made.error().message));
  REQUIRE(made.has_value());
  return std::move(*made);
}

}  // namespace

TEST_CASE("a question is a line of its own, or a conversation up to its last answer", "[dataio][prompt]") {
  const Asked one = asked(
      R"({"question": "Which?", "system": "Be brief.", "images": ["a", "b"], "answers": ["7", "seven"]})");
  REQUIRE(one.turns.size() == 2);
  CHECK(one.turns[0].role == Role::system);
  CHECK(one.turns[0].text == "Be brief.");
  CHECK(one.turns[1].text == "Which?");
  CHECK(one.files[0] == std::vector<std::string>{"a", "b"});
  CHECK(one.answers == std::vector<std::string>{"7", "seven"});
  CHECK(asked(R"({"prompt": "p", "audio": "a", "answer": "x"})").files[1] == std::vector<std::string>{"a"});

  const Asked talk = asked(
      R"({"system": "s", "conversations": [{"from": "human", "value": "1"}, {"from": "gpt", "value": "2"},
          {"from": "human", "value": "3"}, {"from": "gpt", "value": "4"}], "image": "i"})");
  REQUIRE(talk.turns.size() == 4);
  CHECK(talk.turns[0].role == Role::system);
  CHECK(talk.turns[2].role == Role::assistant);
  CHECK(talk.turns[3].text == "3");
  CHECK(talk.answers == std::vector<std::string>{"4"});

  const Asked ruled = asked(
      R"({"messages": [{"role": "system", "content": "a"}, {"role": "system", "content": "b"},
          {"role": "user", "content": "1"}, {"role": "assistant", "content": "2"},
          {"role": "system", "content": "c"}, {"role": "user", "content": "3"}]})");
  std::string said;
  for (const Turn& turn : ruled.turns) said += (turn.role == Role::system ? "!" : "") + turn.text;
  CHECK(said == "!a!b12!c3");
  CHECK(asked(R"({"conversations": [{"from": "human", "value": "1"}]})").answers.empty());

  CHECK(problem(R"({"question": 3})") == "'question' must be text, not a number");
  CHECK(problem(R"({"question": "a", "prompt": "b"})") == "not one question but several");
  CHECK(problem(R"({"question": []})") == "not one question but none");
  CHECK(problem(R"({"question": "a", "system": ["b", "c"]})") == "not one 'system' but several");
  CHECK(problem("{\"prompt\": \"a \\ufdd1\"}") ==
        "'prompt' has a code point of U+FDD0 to U+FDD2, which are no characters");
  CHECK(problem(R"({"question": "a", "answers": [1]})") == "'answers' must list text, not a number");
  CHECK(problem(R"({"conversations": [{"from": "gpt", "value": "1"}]})") ==
        "nothing is asked in front of the answer");
}

TEST_CASE("files without a place stand in front of the last turn", "[dataio][prompt]") {
  const Prompter ask = prompter({pictures("<image>"), pictures("<other>")});
  const auto marked = [&](std::vector<std::string> turns, std::size_t files) {
    Asked in;
    for (std::string& text : turns) in.turns.push_back({Role::user, std::move(text)});
    in.files[0].assign(files, "seven.png");
    ask.mark_places(in);
    return in.turns.back().text;
  };
  CHECK(marked({"What?"}, 0) == "What?");
  CHECK(marked({"What?"}, 2) == "<image>\n<image>\nWhat?");
  CHECK(marked({"<image> Well.", "What?"}, 2) == "<image>\nWhat?");
  CHECK(marked({"<other> Well.", "What?"}, 1) == "What?");
  CHECK(marked({"What <other>?"}, 2) == "What <other>?");
}

TEST_CASE("what a model has said is kept as an answer: no place of a file, no mark", "[dataio][prompt]") {
  const Prompter ask = prompter({pictures("<image>")});
  CHECK(ask.as_answer(" Seven.\n") == "Seven.");
  CHECK(ask.as_answer("An <image> of a \xEF\xB7\x90 seven <image>") == "An  of a  seven");
  CHECK(readable("What \xEF\xB7\x91is this?") == "What is this?");
}

TEST_CASE("prompts have their media, and say what is wrong with them", "[dataio][prompt]") {
  const Prompter ask = prompter({pictures("<image>")});
  Asked question;
  question.turns.push_back({Role::user, "What <image> is this?"});
  question.files[0] = {"seven.png"};
  const auto prompt = ask(question, kExample);
  REQUIRE(prompt.has_value());
  CHECK(std::count(prompt->ids.begin(), prompt->ids.end(), -1) == 3);
  REQUIRE(prompt->media.size() == 1);
  REQUIRE(prompt->media[0].size() == 1);
  CHECK(prompt->media[0][0].values.size() == 3 * 8 * 8);
  CHECK(prompt->extents[0].size() == 1);

  const auto same = ask([&] {
    Asked absolute = question;
    absolute.files[0] = {(kExample / "seven.png").string()};
    return absolute;
  }());
  REQUIRE(same.has_value());
  CHECK(same->media[0][0].values == prompt->media[0][0].values);

  question.files[0] = {"nowhere.png"};
  const auto lost = ask(question, kExample);
  REQUIRE_FALSE(lost.has_value());
  CHECK(lost.error().code == ExitCode::missing_input);
  CHECK(lost.error().message.find("nowhere.png") != std::string::npos);
  question.files[0] = {"../example/seven.png"};
  CHECK_FALSE(ask(question, kExample).has_value());
  question.files[0] = {"seven.png", "seven.png"};
  CHECK(ask(question, kExample).error().message ==
        "the text has 1 image placeholders ('<image>'), 'image' lists 2 files");
}

TEST_CASE("text comes in whole characters, and all of it", "[dataio][prompt]") {
  for (const char* name : {"tokenizer_gpt2.json", "tokenizer_llama2.json", "tokenizer_gemma.json"}) {
    CAPTURE(name);
    auto tokenizer = Tokenizer::load(kGolden / name);
    REQUIRE(tokenizer.has_value());
    const Philox philox(3);
    std::vector<std::vector<std::int64_t>> texts;
    for (const char* text : {"Hello, wörld  \xF0\x9F\x8D\x8E!\n naïve", "\xE4\xBD\xA0\xE5\xA5\xBD"})
      if (const auto ids = tokenizer->encode(text)) texts.push_back(*ids);
    for (std::uint64_t t = 0; t < 20; ++t) {  // what a model may say
      texts.emplace_back();
      for (std::uint64_t i = 0; i < 30; ++i)
        texts.back().push_back(
            static_cast<std::int64_t>(philox.uniform(30 * t + i) * static_cast<double>(tokenizer->size())));
    }
    CHECK(texts.size() > 20);
    for (const auto& ids : texts) {
      TextStream stream(*tokenizer);
      std::string all;
      for (const std::int64_t id : ids) {
        const std::string piece = stream.add(id);
        CHECK_FALSE(piece.ends_with("\xEF\xBF\xBD"));
        all += piece;
      }
      CHECK(all + stream.rest() == tokenizer->decode(ids, true));
    }
  }
}
