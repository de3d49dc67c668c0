#include "conversation.h"

#include "catch.h"

using namespace cornstarch::dataio;
using Texts = std::vector<std::string>;

namespace {

/// "message" or "message | help" of what is refused; what is read as "role: text" for each turn.
Texts reading(const std::string& json) {
  const auto conversation = read_conversation(json);
  if (!conversation) {
    const auto& error = conversation.error();
    return {error.message + (error.help.empty() ? "" : " | " + error.help)};
  }
  Texts out;
  const char* names[] = {"system", "user", "assistant"};
  for (const Turn& turn : conversation->turns)
    out.push_back(std::string(names[static_cast<int>(turn.role)]) + ": " + turn.text);
  return out;
}

std::string with(const std::string& keys) {
  return R"({"conversations": [{"from": "human", "value": "A"}, {"from": "gpt", "value": "B"}])" + keys + "}";
}

}  // namespace

TEST_CASE("turns, with a system text beside them as the first") {
  CHECK(reading(with("")) == Texts{"user: A", "assistant: B"});
  CHECK(reading(with(R"(, "id": [{"x": null}], "system": "Be kind.")")) ==
        Texts{"system: Be kind.", "user: A", "assistant: B"});
  CHECK(reading(with(R"(, "system": "")")) == Texts{"user: A", "assistant: B"});
  CHECK(reading(with(R"(, "system": null)")) == Texts{"user: A", "assistant: B"});
  CHECK(reading(with(R"(, "system": 7)")) == Texts{"'system' must be text, not a number"});
  CHECK(reading(R"({"system": "x", "conversations": [{"from": "system", "value": "y"}]})") ==
        Texts{"both 'system' and a first turn from 'system'"});
}

TEST_CASE("media of all kinds, and keys that name media but are not read") {
  const auto sample = read_conversation(with(
      R"(, "images": ["a.png", "b.png"], "audio": "c.wav", "video": "d.mp4", "img": "e.JPG", "id": "x.1",)"
      R"( "source": ["f.webm", "g.mp3"], "copy": "a.png", "pixels": {"a": "h.png"})"));
  REQUIRE(sample);
  CHECK(sample->of(MediaKind::image) == Texts{"a.png", "b.png"});
  CHECK(sample->of(MediaKind::audio) == Texts{"c.wav"});
  CHECK(sample->of(MediaKind::video) == Texts{"d.mp4"});
  CHECK(sample->unread == Texts{"img", "source"});
  CHECK(read_conversation(with(R"(, "u": "data:image/png;base64,AA")"))->unread == Texts{"u"});
}

TEST_CASE("of a key that stands twice the last value holds") {
  const auto sample = read_conversation(
      R"({"conversations": [{"from": "gpt", "value": "A"}], "image": "a.png", "image": "b.png",)"
      R"( "conversations": [{"from": "gpt", "value": "B", "value": "C"}]})");
  REQUIRE(sample);
  CHECK(sample->turns.size() == 1);
  CHECK(sample->turns[0].text == "C");
  CHECK(sample->of(MediaKind::image) == Texts{"b.png"});
}

TEST_CASE("samples of other forms are named, with what turns them into this one") {
  CHECK(reading(R"({"messages": [{"role": "user", "content": "x"}]})") ==
        Texts{"the sample has 'messages' (OpenAI's form), but no list 'conversations' of turns | turn it "
              "into LLaVA's "
              "form: jq -c '.conversations = [.messages[] | {from: .role, value: .content}] | "
              "del(.messages)' OLD.jsonl "
              "> NEW.jsonl"});
  CHECK(
      reading(R"({"instruction": "x", "input": "", "output": "y"})") ==
      Texts{
          "the sample has 'instruction' (Alpaca's form), but no list 'conversations' of turns | turn it into "
          "LLaVA's form: jq -c '{conversations: [{from: \"human\", value: ([.instruction, .input] | "
          "map(select(. "
          "!= null and . != \"\")) | join(\"\\n\"))}, {from: \"gpt\", value: (.output // .response)}]}' "
          "OLD.jsonl "
          "> NEW.jsonl"});
  CHECK(reading(R"({"conversations": [{"role": "user", "content": "x"}]})") ==
        Texts{"conversations[0] has 'role' and 'content'; the keys of a turn are 'from' and 'value' | turn "
              "it into "
              "LLaVA's form: jq -c '.conversations |= map({from: .role, value: .content})' OLD.jsonl > "
              "NEW.jsonl"});
  CHECK(reading(R"({"text": "x"})") ==
        Texts{"the sample has no list 'conversations' of turns | a sample is {\"conversations\": [{\"from\": "
              "\"human\", "
              "\"value\": ...}, {\"from\": \"gpt\", \"value\": ...}], \"image\": PATH}"});
}

TEST_CASE("what a sample gets wrong first, and broken JSON before all") {
  CHECK(reading("[1]") == Texts{"the sample is a list, not an object"});
  CHECK(reading("true") == Texts{"the sample is true or false, not an object"});
  CHECK(reading(R"({"conversations": [7], "image": 5})") ==
        Texts{"conversations[0] is a number, not an object"});
  CHECK(reading(R"({"conversations": [[{"from": "gpt"}]]})") ==
        Texts{"conversations[0] is a list, not an object"});
  CHECK(reading(R"({"conversations": [{"value": "x"}]})") == Texts{"conversations[0] has no text 'from'"});
  CHECK(reading(R"({"conversations": [{"from": "gpt", "value": ["x"]}]})") ==
        Texts{"conversations[0] has no text 'value'"});
  CHECK(reading(with(R"(, "image": {"path": "a.png"})")) ==
        Texts{"'image' must be a path or a list of paths, not an object"});
  CHECK(reading(with(R"(, "image": ["a.png", null])")) == Texts{"'image' must list paths, not null"});
  CHECK(reading(R"({"conversations": [7], "x": })").front().starts_with("not JSON at byte 29: "));
  CHECK(reading(std::string(65, '[')) == Texts{"JSON nested deeper than 64 levels"});
  CHECK(reading(with(R"(, "x": )" + std::string(63, '[') + std::string(63, ']'))) ==
        Texts{"user: A", "assistant: B"});
}

TEST_CASE("a sample lists no more files than an index can count") {
  std::string files = R"("a")";
  for (int i = 1; i < 65'000; ++i) files += R"(,"a")";
  CHECK(reading(with(R"(, "images": [)" + files + "]")) == Texts{"user: A", "assistant: B"});
  CHECK(reading(with(R"(, "images": [)" + files + R"(,"b"])")) ==
        Texts{"'images' lists more than 65000 files"});
}
