#include <nlohmann/json.hpp>

#include "conversation.h"
#include "data_url.h"
#include "input.h"

namespace {

using namespace cornstarch;
using namespace cornstarch::dataio;
using fuzz::require;
using Json = nlohmann::json;
using Files = std::array<std::vector<std::string>, kMediaKinds>;

/// UTF-8 without marks: what JSON makes of it.
std::string text_of(std::string_view word) {
  std::string text = Json::parse(Json(std::string(word)).dump(-1, ' ', true, Json::error_handler_t::replace));
  for (const std::string_view mark : kPartMarks)
    for (std::size_t at; (at = text.find(mark)) != std::string::npos;) text.erase(at, mark.size());
  return text;
}

/// A part, and what must come of it.
Json part(fuzz::Input& input, std::string& text, Files& files) {
  const std::size_t form = input.below(5);
  const std::string word = text_of(input.word());
  if (form == 0) {
    text += word;
    return {{"type", "text"}, {"text", word}};
  }
  const std::string file = "f" + std::to_string(word.size());
  const std::size_t kind = form <= 2 ? 0 : 1;
  text += kPartMarks[kind];
  files[kind].push_back(form == 4 ? "data:;base64," + file : file);
  if (form == 1) return {{"image", file}, {"type", "image"}, {"text", nullptr}};
  if (form == 2) return {{"type", "image_url"}, {"image_url", {{"url", file}, {"detail", word}}}};
  if (form == 3) return {{"type", "audio"}, {"audio_url", file}};
  return {{"type", "input_audio"}, {"input_audio", {{"format", word}, {"data", file}}}};
}

/// Messages that are some, with what must come out.
void made_up(fuzz::Input& input) {
  Json messages = Json::array();
  std::vector<std::string> texts;
  Files files;
  for (std::size_t n = 1 + input.below(4); n-- > 0;) {
    std::string& text = texts.emplace_back();
    Json content = Json::array();
    for (std::size_t p = input.below(4); p-- > 0;) content.push_back(part(input, text, files));
    if (content.empty()) content = text = text_of(input.word());
    messages.push_back({{"content", content}, {"role", input.yes() ? "user" : "assistant"}});
  }
  const auto read = read_conversation(Json{{"messages", messages}}.dump(-1, ' ', input.yes()));
  require(read.has_value() && read->turns.size() == texts.size() && read->files == files);
  for (std::size_t i = 0; i < texts.size(); ++i) require(read->turns[i].text == texts[i]);
}

/// As many marks as there are parts, whatever they are.
void any(std::string_view json) {
  const auto read = read_conversation(json);
  if (!read) return;
  for (std::size_t kind = 0; kind < kMediaKinds; ++kind) {
    std::size_t marks = 0;
    for (const Turn& turn : read->turns)
      for (const Stretch& stretch : cut_at_placeholders(turn.text, {std::string(kPartMarks[kind])}))
        marks += stretch.encoder == 0 ? 1 : 0;
    for (const std::string& file : read->files[kind])
      if (is_data_url(file)) (void)data_of(file);
    const auto assigned = assign_files(*read, static_cast<MediaKind>(kind), {});
    require(assigned ? marks == 0 : marks > 0 || !read->files[kind].empty());
  }
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
