#include <algorithm>
#include <nlohmann/json.hpp>

#include "conversation.h"
#include "cornstarch/dataio/prompt.h"
#include "cornstarch/dataio/scores.h"
#include "input.h"

namespace {

using namespace cornstarch;
using namespace cornstarch::dataio;
using fuzz::require;
using Json = nlohmann::json;

/// UTF-8 without marks: what JSON makes of it.
std::string text_of(std::string_view word) {
  std::string text = Json::parse(Json(std::string(word)).dump(-1, ' ', true, Json::error_handler_t::replace));
  for (const std::string_view mark : kPartMarks)
    for (std::size_t at; (at = text.find(mark)) != std::string::npos;) text.erase(at, mark.size());
  return text;
}

/// One, or several as a list; under the key for one or that for several.
std::vector<std::string> add(fuzz::Input& input, Json& to, const char* one, const char* several) {
  std::vector<std::string> texts;
  for (std::size_t n = input.below(3); n-- > 0;) texts.push_back(text_of(input.word()));
  const char* key = input.yes() ? one : several;
  if (texts.size() == 1 && input.yes()) {
    to[key] = texts.front();
  } else if (!texts.empty() || input.yes()) {
    to[key] = texts;
  }
  return texts;
}

/// A question that is one, with what must come out.
void made_up(fuzz::Input& input) {
  Json json;
  const std::string question = text_of(input.word()), system = text_of(input.word());
  json[input.yes() ? "prompt" : "question"] = question;
  if (!system.empty()) json["system"] = system;
  const auto answers = add(input, json, "answer", "answers");
  const auto images = add(input, json, "image", "images");
  const auto audios = add(input, json, "audio", "audios");
  auto asked = read_asked(json.dump(-1, ' ', input.yes()));
  require(asked.has_value() && asked->turns.size() == (system.empty() ? 1 : 2));
  require(asked->turns.back().text == question && asked->turns.back().role == Role::user);
  require(asked->turns.front().text == (system.empty() ? question : system) && asked->answers == answers);
  require(asked->of(MediaKind::image) == images && asked->of(MediaKind::audio) == audios);
}

/// What asks something asks it last, without marks of parts that it has not, and a right answer is right.
void any(std::string_view json) {
  const auto asked = read_asked(json);
  if (!asked) {
    require(!asked.error().message.empty());
    return;
  }
  require(!asked->turns.empty() && asked->turns.back().role != Role::assistant);
  std::size_t marks = 0, files = 0;
  for (const Turn& turn : asked->turns) marks += has_part_mark(turn.text) ? 1 : 0;
  for (const auto& of_kind : asked->files) files += of_kind.size();
  require(marks <= files);
  for (const std::string& answer : asked->answers)
    require(exact_match(answer, asked->answers) && token_f1(answer, asked->answers) == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.yes()) {
    made_up(input);
  } else {
    any(input.rest());
  }
  return 0;
}
