#include "chat_form.h"

#include <algorithm>
#include <array>

#include "conversation.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

using templates::Named;
using templates::Value;

constexpr std::string_view kProbe = "probe7";
constexpr std::array<const char*, kMediaKinds> kTypes = {"image", "audio", "video"};

struct KnownMark {
  MediaKind kind;
  std::string_view text, before = {}, after = {};
};
/// What published templates write for a part that is media. Where their processors put more around the
/// features, so do we.
constexpr std::array<KnownMark, 13> kMarks = {
    {{MediaKind::image, "<|image_pad|>"},
     {MediaKind::image, "<image_soft_token>"},
     {MediaKind::image, "<start_of_image>", "\n\n<start_of_image>", "<end_of_image>\n\n"},
     {MediaKind::image, "<|image|>"},
     {MediaKind::image, "[IMG]"},
     {MediaKind::image, "<image>"},
     {MediaKind::audio, "<|AUDIO|>"},
     {MediaKind::audio, "<|audio_pad|>"},
     {MediaKind::audio, "<|audio|>"},
     {MediaKind::audio, "[AUDIO]"},
     {MediaKind::audio, "<audio>"},
     {MediaKind::video, "<|video_pad|>"},
     {MediaKind::video, "<video>"}}};

Value text_part(std::string_view text) { return Value::dict({{"type", "text"}, {"text", text}}); }
Value media_part(MediaKind kind) { return Value::dict({{"type", kTypes[static_cast<std::size_t>(kind)]}}); }

Value message(Role role, Value content) {
  const char* name = role == Role::system ? "system" : role == Role::user ? "user" : "assistant";
  return Value::dict({{"role", name}, {"content", std::move(content)}});
}

std::string without_space(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
  return text;
}

/// Where `part` stands in `text`, if it does so once.
std::size_t find_once(const std::string& text, std::string_view part) {
  const std::size_t at = text.find(part);
  return at == std::string::npos || text.find(part, at + 1) == std::string::npos ? at : std::string::npos;
}

}  // namespace

Result<ChatForm> ChatForm::of(const templates::Template& chat, std::vector<Named> constants,
                              const std::vector<MediaSource>& media) {
  ChatForm form(chat);
  form.constants_ = std::move(constants);
  const auto text = form.say(kProbe);
  const auto parts = form.say(Value::list({text_part(kProbe)}));
  form.takes_text_ = text && text->find(kProbe) != std::string::npos;
  // A template that takes a list for text writes its Python.
  const bool takes_parts =
      parts && parts->find(kProbe) != std::string::npos && parts->find("'type'") == std::string::npos;
  if (!form.takes_text_ && !takes_parts) {
    if (!text) return tl::unexpected(text.error());
    return fail(ExitCode::bad_data, cat(chat.name(), ": the template leaves out what a user says"));
  }
  form.media_ = media;
  for (const MediaSource& source : media)
    form.marks_.push_back(takes_parts ? form.mark_of(source, *parts) : MediaMark{.text = source.placeholder});
  return form;
}

MediaMark ChatForm::mark_of(const MediaSource& source, const std::string& without) const {
  const auto said = say(Value::list({media_part(source.kind), text_part(kProbe)}));
  for (const KnownMark& known : kMarks) {
    if (known.kind != source.kind || !said) continue;
    const std::size_t at = find_once(*said, known.text);
    if (at == std::string::npos || without.find(known.text) != std::string::npos) continue;
    std::string around = *said;
    around.erase(at, known.text.size());
    // Who writes Qwen2-VL's own tokens in a text does not want them twice.
    const bool bare = without_space(around) == without_space(without);
    if (takes_text_ && source.placeholder == known.text && !bare) break;
    return {.text = std::string(known.text),
            .before = std::string(known.before),
            .after = std::string(known.after),
            .part = true,
            .own_line = said->substr(at + known.text.size()).starts_with("\n")};
  }
  return {.text = source.placeholder};
}

Result<std::string> ChatForm::say(Value content) const {
  auto made = render(Value::list({message(Role::user, std::move(content))}), true);
  if (!made) return tl::unexpected(made.error());
  return std::move(made->text);
}

Result<templates::Rendering> ChatForm::render(Value messages, bool asks) const {
  std::vector<Named> variables = constants_;
  variables.emplace_back("messages", std::move(messages));
  variables.emplace_back("add_generation_prompt", asks);
  return chat_.render(variables);
}

Result<templates::Rendering> ChatForm::render(std::span<const Turn> turns, bool asks) const {
  std::vector<Value> messages;
  for (const Turn& turn : turns) messages.push_back(message(turn.role, content_of(turn.text)));
  return render(Value::list(std::move(messages)), asks);
}

Value ChatForm::content_of(const std::string& text) const {
  const auto stretches = cut_at_placeholders(text, media_);
  // Templates that take parts from users may want answers as text: each turn is what it must be alone.
  const bool parts = !takes_text_ || std::any_of(stretches.begin(), stretches.end(), [&](const Stretch& s) {
    return s.encoder >= 0 && marks_[static_cast<std::size_t>(s.encoder)].part;
  });
  std::vector<Value> out;
  std::string words;
  bool line_ended = false;
  const auto end_words = [&] {
    if (!words.empty()) out.push_back(text_part(words));
    words.clear();
  };
  for (const Stretch& stretch : stretches) {
    const auto e = static_cast<std::size_t>(stretch.encoder);
    if (stretch.encoder < 0) {
      words += stretch.text.substr(line_ended && stretch.text.starts_with('\n') ? 1 : 0);
      line_ended = false;
    } else if (parts && marks_[e].part) {
      end_words();
      out.push_back(media_part(media_[e].kind));
      line_ended = marks_[e].own_line;
    } else {
      words += media_[e].placeholder;
      line_ended = false;
    }
  }
  if (!parts) return words;
  end_words();
  if (out.empty()) out.push_back(text_part(""));
  return Value::list(std::move(out));
}

}  // namespace cornstarch::dataio
