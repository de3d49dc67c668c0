#include "chat_template.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "cornstarch/base/text.h"
#include "unicode.h"

namespace cornstarch::dataio {
namespace {

constexpr std::string_view kBegin = "{begin}", kEnd = "{end}";

/// Those that Hugging Face publishes with the models of these names, Vicuna's as LLaVA v1.5 has it.
const std::array<ChatTemplate, 5>& all() {
  static const std::array<ChatTemplate, 5> templates = {
      ChatTemplate{.name = "plain",
                   .system = {.after = "\n"},
                   .user = {.after = "\n"},
                   .assistant = {.after = "{end}"},
                   .adds_begin = true,
                   .apart = true},
      ChatTemplate{.name = "vicuna",
                   .system = {.after = " "},
                   .user = {.before = "USER: ", .after = " "},
                   .assistant = {.before = "ASSISTANT:", .lead = " ", .after = "{end}"},
                   .default_system =
                       "A chat between a curious user and an artificial intelligence assistant. "
                       "The assistant gives helpful, detailed, and polite answers to the user's "
                       "questions.",
                   .adds_begin = true,
                   .take_turns = true},
      ChatTemplate{.name = "llama2",
                   .system = {.before = "<<SYS>>\n", .after = "\n<</SYS>>\n\n"},
                   .user = {.before = "{begin}[INST] ", .after = " [/INST]"},
                   .assistant = {.lead = " ", .after = " {end}"},
                   .system_in_user = true,
                   .trim = true,
                   .take_turns = true},
      ChatTemplate{
          .name = "llama3",
          .system = {.before = "<|start_header_id|>system<|end_header_id|>\n\n", .after = "<|eot_id|>"},
          .user = {.before = "<|start_header_id|>user<|end_header_id|>\n\n", .after = "<|eot_id|>"},
          .assistant = {.before = "<|start_header_id|>assistant<|end_header_id|>\n\n", .after = "<|eot_id|>"},
          .start = "{begin}",
          .tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"},
          .trim = true},
      ChatTemplate{.name = "chatml",
                   .system = {.before = "<|im_start|>system\n", .after = "<|im_end|>", .gap = "\n"},
                   .user = {.before = "<|im_start|>user\n", .after = "<|im_end|>", .gap = "\n"},
                   .assistant = {.before = "<|im_start|>assistant\n", .after = "<|im_end|>", .gap = "\n"},
                   .tokens = {"<|im_start|>", "<|im_end|>"}}};
  return templates;
}

/// Collects text until something stands in it that is no text, and tokenises what was collected as one.
class RowBuilder {
 public:
  RowBuilder(const Tokenizer& tokenizer, const std::vector<MediaSource>& media, const SampleExtents& items)
      : tokenizer_(tokenizer), media_(media), items_(items), next_(items.size(), 0) {}

  /// `begins`: what follows is spelled as at the start of a text.
  Result<void> add_token(std::int64_t id, bool learn, bool begins) {
    auto done = flush();
    add(id, learn);
    begins_ = begins;
    return done;
  }

  /// A piece of a template.
  Result<void> add_frame(std::string_view piece, bool learn) {
    while (!piece.empty()) {
      const bool begin = piece.starts_with(kBegin);
      if (!begin && !piece.starts_with(kEnd)) {
        const std::size_t text = std::min(piece.find('{', 1), piece.size());
        add_text(piece.substr(0, text), learn);
        piece.remove_prefix(text);
        continue;
      }
      piece.remove_prefix(begin ? kBegin.size() : kEnd.size());
      const auto id = begin ? tokenizer_.begin_id() : tokenizer_.end_id();
      if (!id) {
        add_text("\n", learn);  // only plain comes this far: see missing_tokens
        continue;
      }
      auto done = add_token(*id, learn, false);
      if (!done) return done;
    }
    return {};
  }

  Result<void> add_content(std::string_view text, bool learn) {
    for (const Stretch& stretch : cut_at_placeholders(text, media_)) {
      if (stretch.encoder < 0) {
        add_text(stretch.text, learn);
        continue;
      }
      auto done = flush();
      if (!done) return done;
      const auto e = static_cast<std::size_t>(stretch.encoder);
      const std::int64_t features = media_[e].features(items_.at(e).at(next_.at(e)++));
      for (std::int64_t i = 0; i < features; ++i) add(placeholder_id(stretch.encoder), false);
      begins_ = false;
    }
    return {};
  }

  /// What comes next is another text.
  Result<void> end_text() {
    auto done = flush();
    begins_ = true;
    return done;
  }

  Result<TextRow> take() {
    auto done = flush();
    if (!done) return tl::unexpected(done.error());
    row_.length = std::ssize(row_.ids);
    return std::move(row_);
  }

 private:
  void add(std::int64_t id, bool learn) {
    row_.ids.push_back(id);
    row_.labels.push_back(learn ? id : kIgnoreLabel);
  }

  void add_text(std::string_view text, bool learn) {
    if (!text.empty()) spans_.push_back({std::string(text), learn});
  }

  Result<void> flush() {
    if (spans_.empty()) return {};
    auto encoded = tokenizer_.encode(spans_, begins_);
    if (!encoded) return tl::unexpected(encoded.error());
    for (std::size_t i = 0; i < encoded->ids.size(); ++i) add(encoded->ids[i], encoded->marks[i]);
    spans_.clear();
    begins_ = false;
    return {};
  }

  const Tokenizer& tokenizer_;
  const std::vector<MediaSource>& media_;
  const SampleExtents& items_;
  std::vector<std::size_t> next_;  ///< per encoder: its item for the next placeholder
  std::vector<Span> spans_;
  bool begins_ = true;
  TextRow row_;
};

std::string_view name_of(Role role) {
  return role == Role::system ? "system" : role == Role::user ? "user" : "assistant";
}

Result<void> check_turns(const ChatTemplate& chat, std::span<const Turn> turns) {
  for (std::size_t i = 0; chat.take_turns && i < turns.size(); ++i) {
    const std::size_t systems = turns[0].role == Role::system ? 1 : 0;
    if (i < systems) continue;
    const Role wanted = (i - systems) % 2 == 0 ? Role::user : Role::assistant;
    if (turns[i].role == wanted) continue;
    return fail(ExitCode::bad_data,
                cat("turn ", i + 1, " is the ", name_of(turns[i].role), "'s, but the chat template '",
                    chat.name, "' wants user and assistant to take turns"),
                "a template such as 'plain' or 'chatml' takes any order");
  }
  return {};
}

const TurnFrame& frame_of(const ChatTemplate& chat, Role role) {
  return role == Role::system ? chat.system : role == Role::user ? chat.user : chat.assistant;
}

Result<void> add_turn(const ChatTemplate& chat, const Turn& turn, const std::string& text, RowBuilder& row) {
  const TurnFrame& frame = frame_of(chat, turn.role);
  const bool learn = turn.learn();
  Result<void> done = row.add_frame(frame.before, false);
  if (done) done = row.add_frame(frame.lead, learn);
  if (done) done = row.add_content(chat.trim ? trim_unicode(text) : std::string_view(text), learn);
  if (done) done = row.add_frame(frame.after, learn);
  if (done) done = row.add_frame(frame.gap, false);
  if (done && chat.apart) done = row.end_text();
  return done;
}

Result<TextRow> build(const ChatTemplate& chat, std::span<const Turn> turns, const Tokenizer& tokenizer,
                      const std::vector<MediaSource>& media, const SampleExtents& items, bool asks) {
  Result<void> done = check_turns(chat, turns);
  RowBuilder row(tokenizer, media, items);
  if (done && chat.adds_begin && tokenizer.adds_begin())
    done = row.add_token(*tokenizer.begin_id(), false, true);
  if (done) done = row.add_frame(chat.start, false);
  if (done && !chat.default_system.empty() && (turns.empty() || turns[0].role != Role::system))
    done = add_turn(chat, {Role::system, {}}, std::string(chat.default_system), row);
  std::string system;  // waits for the user's turn
  for (std::size_t i = 0; done && i < turns.size(); ++i) {
    if (chat.system_in_user && turns[i].role == Role::system) {
      system = cat(chat.system.before, turns[i].text, chat.system.after);
      continue;
    }
    done = add_turn(chat, turns[i], system + turns[i].text, row);
    system.clear();
  }
  if (done && asks) done = row.add_frame(chat.assistant.before, false);
  if (!done) return tl::unexpected(done.error());
  return row.take();
}

bool needs(const ChatTemplate& chat, std::string_view token) {
  if (chat.start.find(token) != std::string_view::npos) return true;
  for (const TurnFrame* frame : {&chat.system, &chat.user, &chat.assistant}) {
    for (const std::string_view piece : {frame->before, frame->lead, frame->after, frame->gap}) {
      if (piece.find(token) != std::string_view::npos) return true;
    }
  }
  return false;
}

}  // namespace

const ChatTemplate* find_chat_template(const std::string& name) {
  const auto it =
      std::find_if(all().begin(), all().end(), [&](const ChatTemplate& c) { return c.name == name; });
  return it == all().end() ? nullptr : &*it;
}

std::vector<std::string> chat_templates() {
  std::vector<std::string> names;
  for (const ChatTemplate& chat : all()) names.emplace_back(chat.name);
  return names;
}

std::optional<std::int64_t> end_of_answer(const ChatTemplate& chat, const Tokenizer& tokenizer) {
  std::string_view after = chat.assistant.after;
  after.remove_prefix(std::min(after.find_first_not_of(' '), after.size()));
  return after == kEnd ? tokenizer.end_id() : tokenizer.id(after);
}

std::vector<std::string> missing_tokens(const ChatTemplate& chat, const Tokenizer& tokenizer) {
  std::vector<std::string> missing;
  for (const std::string_view token : chat.tokens) {
    const auto ids = tokenizer.encode(token);
    if (!ids || ids->size() != 1 || tokenizer.id(token) != ids->front())
      missing.push_back(cat("'", token, "'"));
  }
  if (chat.apart) return missing;  // "plain" takes a newline instead
  if (needs(chat, kBegin) && !tokenizer.begin_id()) missing.emplace_back("a begin token");
  if (needs(chat, kEnd) && !tokenizer.end_id()) missing.emplace_back("an end token");
  return missing;
}

Result<TextRow> make_row(const ChatTemplate& chat, std::span<const Turn> turns, const Tokenizer& tokenizer,
                         const std::vector<MediaSource>& media, const SampleExtents& items) {
  return build(chat, turns, tokenizer, media, items, false);
}

Result<TextRow> make_prompt(const ChatTemplate& chat, std::span<const Turn> turns, const Tokenizer& tokenizer,
                            const std::vector<MediaSource>& media, const SampleExtents& items) {
  return build(chat, turns, tokenizer, media, items, true);
}

}  // namespace cornstarch::dataio
