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
  CHECK(reading(R"({"instruction": "x", "input": "", "output": "y"})") ==
        Texts{"the sample has 'instruction' (Alpaca's form), but no list 'conversations' or 'messages' of "
              "turns | turn it into "
              "LLaVA's form: jq -c '{conversations: [{from: \"human\", value: ([.instruction, .input] | "
              "map(select(. "
              "!= null and . != \"\")) | join(\"\\n\"))}, {from: \"gpt\", value: (.output // .response)}]}' "
              "OLD.jsonl "
              "> NEW.jsonl"});
  CHECK(
      reading(R"({"text": "x"})") ==
      Texts{"the sample has no list 'conversations' or 'messages' of turns | a sample is {\"conversations\": "
            "[{\"from\": \"human\", \"value\": ...}, {\"from\": \"gpt\", \"value\": ...}], \"image\": PATH}, "
            "or "
            "{\"messages\": [{\"role\": \"user\", \"content\": ...}, ...]}"});
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
        Texts{"conversations[0].value[0] is a string, not an object"});
  CHECK(reading(R"({"conversations": [{"from": "gpt", "value": 7}]})") ==
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

namespace {

const std::string kImage = "\xEF\xB7\x90", kAudio = "\xEF\xB7\x91", kVideo = "\xEF\xB7\x92";

std::string messages(const std::string& turns, const std::string& keys = "") {
  return R"({"messages": [)" + turns + "]" + keys + "}";
}
/// The content of a user's only message.
std::string parts(const std::string& content, const std::string& keys = "") {
  return messages(R"({"role": "user", "content": )" + content + "}", keys);
}

}  // namespace

TEST_CASE("messages, by the roles of everybody's names") {
  CHECK(reading(messages(R"({"role": "developer", "content": "S"}, {"role": "user", "content": "A"},)"
                         R"( {"content": "B", "role": "assistant", "tool_calls": [], "name": "x"})")) ==
        Texts{"system: S", "user: A", "assistant: B"});
  CHECK(reading(messages(R"({"from": "human", "value": "A"}, {"from": "model", "value": "B"})")) ==
        Texts{"user: A", "assistant: B"});
  CHECK(reading(
            R"({"conversations": [{"role": "user", "content": "A"}, {"from": "chatgpt", "value": "B"}]})") ==
        Texts{"user: A", "assistant: B"});
  CHECK(reading(R"({"messages": [], "conversations": [{"from": "bard", "value": "B"}]})") ==
        Texts{"assistant: B"});
  CHECK(reading(messages(R"({"role": "user", "content": "A"})",
                         R"(, "conversations": [{"from": "gpt", "value": "x"}])")) ==
        Texts{"both 'conversations' and 'messages'"});
  CHECK(
      reading(
          R"({"messages": [{"role": "user", "content": "A"}], "messages": [{"role": "user", "content": "B"}]})") ==
      Texts{"user: B"});
}

TEST_CASE("parts of a message are text and marks, with the files that they name") {
  const auto sample = read_conversation(parts(
      R"([{"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}}, {"type": "text", "text": "What"},)"
      R"( {"text": "is it?", "type": "text", "image": null}, {"type": "image", "image": "b.png"},)"
      R"( {"type": "image_url", "image_url": "c.png"}, {"type": "image", "path": "d.png"},)"
      R"( {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},)"
      R"( {"type": "audio", "audio_url": "e.wav"}, {"type": "audio_url", "audio_url": {"url": "f.wav"}},)"
      R"( {"type": "video", "video": "g.mp4"}])"));
  REQUIRE(sample);
  CHECK(sample->turns.at(0).text ==
        kImage + "Whatis it?" + kImage + kImage + kImage + kAudio + kAudio + kAudio + kVideo);
  CHECK(sample->of(MediaKind::image) == Texts{"a.png", "b.png", "c.png", "d.png"});
  CHECK(sample->of(MediaKind::audio) == Texts{"data:;base64,UklGRg==", "e.wav", "f.wav"});
  CHECK(sample->of(MediaKind::video) == Texts{"g.mp4"});
}

TEST_CASE("parts that name no file take those of the sample's list") {
  const auto sample = read_conversation(
      parts(R"([{"type": "image"}, {"type": "text", "text": "and <image>"}, {"type": "image"}])",
            R"(, "images": ["a", "b", "c"])"));
  REQUIRE(sample);
  CHECK(sample->turns.at(0).text == kImage + "and <image>" + kImage);
  CHECK(sample->of(MediaKind::image) == Texts{"a", "b", "c"});
  CHECK(reading(parts(R"([{"type": "image"}, {"type": "image", "image": "a"}])")) ==
        Texts{"of the parts of type 'image' some name a file and some do not"});
  CHECK(reading(parts(R"([{"type": "audio", "audio": "a"}])", R"(, "audios": ["b"])")) ==
        Texts{"both 'audios' and parts of type 'audio' name files"});
}

TEST_CASE("an answer of weight 0 is not learnt") {
  const auto sample = read_conversation(messages(
      R"({"role": "assistant", "content": "A", "weight": 0}, {"role": "assistant", "content": "B", "weight": 1})"));
  REQUIRE(sample);
  CHECK_FALSE(sample->turns.at(0).learn());
  CHECK(sample->turns.at(1).learn());
  CHECK(reading(messages(R"({"role": "assistant", "content": "A", "weight": 0.5})")) ==
        Texts{"messages[0].weight is 0.5; allowed: 0 (an answer that is not learnt), 1"});
  CHECK(reading(messages(R"({"role": "assistant", "content": "A", "weight": "1"})")) ==
        Texts{"messages[0].weight is a string; allowed: 0 (an answer that is not learnt), 1"});
}

TEST_CASE("what is not understood of a message is named by its place, with what would be") {
  const std::string roles =
      "allowed: human, user, system, developer, gpt, assistant, chatgpt, bing, bard, model";
  const std::string types =
      "allowed: text, image, image_url, audio, audio_url, input_audio, video, video_url";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"("x")", "messages[0] is a string, not an object"},
      {R"({"content": "x"})", "messages[0] has no text 'role'"},
      {R"({"role": "user"})", "messages[0] has no text 'content'"},
      {R"({"role": "user", "content": null})", "messages[0] has no text 'content'"},
      {R"({"role": "bot", "content": "x"})", "messages[0].role is 'bot'; " + roles},
      {R"({"role": "tool", "content": "x"})",
       "messages[0].role is 'tool'; turns of tools are not read; " + roles},
      {R"({"role": "assistant", "content": null, "tool_calls": [{"id": "x"}]})",
       "messages[0].tool_calls: calls of tools are not read"},
      {R"({"role": "assistant", "content": null, "function_call": {"name": "x"}})",
       "messages[0].function_call: calls of tools are not read"},
      {R"({"role": "user", "content": ["x"]})", "messages[0].content[0] is a string, not an object"},
      {R"({"role": "user", "content": [{"text": "x"}]})",
       "messages[0].content[0] has no text 'type'; " + types},
      {R"({"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "file"}]})",
       "messages[0].content[1].type is 'file'; " + types},
      {R"({"role": "user", "content": [{"type": "text", "content": "x"}]})",
       "messages[0].content[0] has no text 'text'"},
      {R"({"role": "user", "content": [{"type": "text", "image_url": {"url": "x"}, "text": ["y"]}]})",
       "messages[0].content[0] has no text 'text'"},
      {R"({"role": "user", "content": [{"type": "image_url", "image_url": {"uri": "x"}}]})",
       "messages[0].content[0] has no text 'image_url'"},
      {R"({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]})",
       "the image file 'https://a.b/c.png' is not fetched | media are files beside the data, or data: URLs: "
       "download it, and name the file"},
      {"{\"role\": \"user\", \"content\": \"a" + kAudio + "\"}",
       "messages[0].content has a code point of U+FDD0 to U+FDD2, which are no characters"},
      {R"({"role": "user", "content": [{"type": "text", "text": "\ufdd2"}]})",
       "messages[0].content[0] has a code point of U+FDD0 to U+FDD2, which are no characters"},
  };
  CHECK(reading(with(R"(, "system": "\ufdd1")")) ==
        Texts{"'system' has a code point of U+FDD0 to U+FDD2, which are no characters"});
  for (const auto& [turn, wanted] : cases) {
    CAPTURE(turn);
    CHECK(reading(messages(turn)) == Texts{wanted});
  }
}
