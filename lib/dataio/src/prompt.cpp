#include "cornstarch/dataio/prompt.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include "bpe.h"
#include "conversation.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "data_url.h"
#include "json_text.h"
#include "preparer.h"

namespace cornstarch::dataio {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::array<const char*, 2>, kMediaKinds> kFileKeys = {
    {{"image", "images"}, {"audio", "audios"}, {"video", "videos"}}};

/// A string, or a list of them.
Result<void> take_texts(const Json& json, const char* key, std::vector<std::string>& out) {
  const Json* value = find(json, key);
  if (value == nullptr) return {};
  const bool several = value->is_array();
  for (const Json& each : several ? *value : Json::array({*value})) {
    if (!each.is_string())
      return fail(ExitCode::bad_data, several ? cat("'", key, "' must list text, not ", kind_of(each))
                                              : cat("'", key, "' must be text, not ", kind_of(each)));
    out.push_back(each.get<std::string>());
    if (has_part_mark(out.back())) return fail(ExitCode::bad_data, cat("'", key, "'", kHasMark));
  }
  return {};
}

Result<Asked> read_single_question(const Json& json) {
  Asked out;
  std::vector<std::string> question, system;
  Result<void> done;
  for (const char* key : {"question", "prompt"})
    if (done) done = take_texts(json, key, question);
  if (done) done = take_texts(json, "system", system);
  for (const char* key : {"answer", "answers"})
    if (done) done = take_texts(json, key, out.answers);
  for (std::size_t kind = 0; kind < kMediaKinds; ++kind)
    for (const char* key : kFileKeys[kind])
      if (done) done = take_texts(json, key, out.files[kind]);
  if (!done) return tl::unexpected(done.error());
  if (question.size() != 1)
    return fail(ExitCode::bad_data, cat("not one question but ", question.empty() ? "none" : "several"));
  if (system.size() > 1) return fail(ExitCode::bad_data, "not one 'system' but several");
  for (std::string& text : system)
    if (!text.empty()) out.turns.push_back({Role::system, std::move(text)});
  out.turns.push_back({Role::user, std::move(question.front())});
  return out;
}

/// Up to its last answer, which is the right one.
Asked asked_in(Conversation conversation) {
  Asked out;
  out.turns = std::move(conversation.turns);
  out.files = std::move(conversation.files);
  if (!out.turns.empty() && out.turns.back().role == Role::assistant) {
    out.answers.push_back(std::move(out.turns.back().text));
    out.turns.pop_back();
  }
  return out;
}

bool is_users(const Turn& turn) { return turn.role == Role::user; }

/// How many places of a kind the turns have.
std::size_t places(std::span<const Turn> turns, MediaKind kind, const std::vector<MediaSource>& media) {
  std::size_t out = 0;
  for (const Turn& turn : turns)
    for (const Stretch& stretch : cut_at_placeholders(turn.text, media))
      if (stretch.encoder >= 0 && media[static_cast<std::size_t>(stretch.encoder)].kind == kind) ++out;
  return out;
}

}  // namespace

Result<Asked> read_asked(std::string_view text) {
  const auto json = parse_json(text);
  if (!json) return tl::unexpected(json.error());
  if (json->is_object() && (json->contains("question") || json->contains("prompt")))
    return read_single_question(*json);
  auto conversation = read_conversation(text);
  if (!conversation) return tl::unexpected(conversation.error());
  Asked out = asked_in(std::move(*conversation));
  if (std::ranges::none_of(out.turns, is_users))
    return fail(ExitCode::bad_data, "nothing is asked in front of the answer");
  return out;
}

std::string readable(std::string text) {
  for (const std::string_view mark : kPartMarks)
    for (std::size_t at; (at = text.find(mark)) != std::string::npos;) text.erase(at, mark.size());
  return text;
}

struct Prompter::State {
  ConversationOptions options;
  Tokenizer tokenizer;
  ChatTemplate chat_template;
  std::vector<Preparer> preparers;  // per encoder

  /// One file, as its encoder takes it.
  Result<void> add(const fs::path& root, const std::string& name, std::size_t encoder, Prompt& to) const {
    auto extents = made<catalog::Extents>(root, name, encoder, &Preparer::extents);
    auto item = extents ? made<MediaItem>(root, name, encoder, &Preparer::operator())
                        : tl::unexpected(extents.error());
    if (!item) return tl::unexpected(item.error());
    to.extents[encoder].push_back(*extents);
    to.media[encoder].push_back(std::move(*item));
    return {};
  }

  template <class T>
  Result<T> made(const fs::path& root, const std::string& name, std::size_t encoder,
                 Result<T> (Preparer::*make)(ByteSource) const) const {
    auto bytes = bytes_of(root, name);
    auto out = bytes ? (preparers[encoder].*make)(std::move(*bytes)) : tl::unexpected(bytes.error());
    if (out) return out;
    Error error = out.error();
    if (error.message.find(shown_name(name)) == std::string::npos)
      error.message = cat("'", shown_name(name), "': ", error.message);
    return tl::unexpected(std::move(error));
  }

  static Result<ByteSource> bytes_of(const fs::path& root, const std::string& name) {
    if (is_data_url(name)) {
      auto bytes = data_of(name);
      if (!bytes) return tl::unexpected(bytes.error());
      return ByteSource::holding(std::move(*bytes));
    }
    const auto path = root.empty() ? Result<fs::path>(name) : resolve_inside(root, name);
    if (!path) return tl::unexpected(path.error());
    return ByteSource::open(*path);
  }
};

Prompter::Prompter(std::unique_ptr<State> state) : state_(std::move(state)) {}
Prompter::Prompter(Prompter&&) noexcept = default;
Prompter::~Prompter() = default;

Result<Prompter> Prompter::make(ConversationOptions options) {
  auto tokenizer = Tokenizer::load(options.tokenizer, options.special_tokens);
  if (!tokenizer) return tl::unexpected(tokenizer.error());
  auto chat = ChatTemplate::open(options.chat_template, options.tokenizer, *tokenizer, options.media);
  if (!chat) return tl::unexpected(chat.error());
  std::vector<Preparer> preparers;
  for (const MediaSource& source : options.media) {
    auto preparer = Preparer::make(source);
    if (!preparer) return tl::unexpected(preparer.error());
    preparers.push_back(std::move(*preparer));
  }
  return Prompter(std::unique_ptr<State>(
      new State{std::move(options), std::move(*tokenizer), std::move(*chat), std::move(preparers)}));
}

const Tokenizer& Prompter::tokenizer() const { return state_->tokenizer; }

std::optional<std::int64_t> Prompter::answer_end_id() const {
  return state_->chat_template.end_of_answer(state_->tokenizer);
}

void Prompter::mark_places(Asked& asked) const {
  const auto last = std::find_if(asked.turns.rbegin(), asked.turns.rend(), is_users);
  if (last == asked.turns.rend()) return;
  const std::vector<MediaSource>& media = state_->options.media;
  std::string marks;
  for (std::size_t k = 0; k < kMediaKinds; ++k) {
    const auto kind = static_cast<MediaKind>(k);
    const auto taker = std::find_if(media.begin(), media.end(),
                                    [&](const MediaSource& source) { return source.kind == kind; });
    if (taker == media.end() || places({&*last, 1}, kind, media) > 0) continue;
    for (std::size_t i = places(asked.turns, kind, media); i < asked.files[k].size(); ++i)
      marks += taker->placeholder + "\n";
  }
  last->text.insert(0, marks);
}

std::string Prompter::as_answer(std::string_view said) const {
  std::string out;
  for (const Stretch& stretch : cut_at_placeholders(said, state_->options.media))
    if (stretch.encoder < 0) out += stretch.text;
  return readable(std::string(trim(out)));
}

Result<Prompt> Prompter::operator()(Asked asked, const fs::path& root) const {
  const std::vector<MediaSource>& sources = state_->options.media;
  mark_places(asked);
  Conversation conversation;
  conversation.turns = std::move(asked.turns);
  conversation.files = std::move(asked.files);
  Prompt out;
  out.extents.resize(sources.size());
  out.media.resize(sources.size());
  for (std::size_t kind = 0; kind < kMediaKinds; ++kind) {
    const auto encoders = assign_files(conversation, static_cast<MediaKind>(kind), sources);
    if (!encoders) return tl::unexpected(encoders.error());
    for (std::size_t i = 0; i < encoders->size(); ++i) {
      const auto encoder = static_cast<std::size_t>((*encoders)[i]);
      const auto added = state_->add(root, conversation.files[kind][i], encoder, out);
      if (!added) return tl::unexpected(added.error());
    }
  }
  auto row = state_->chat_template.prompt(conversation.turns, state_->tokenizer, out.extents);
  if (!row) return tl::unexpected(row.error());
  out.ids = std::move(row->ids);
  return out;
}

TextStream::TextStream(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {
  for (unsigned byte = 0; byte < 256; ++byte)
    if (const auto id = tokenizer.id(byte_token(byte))) bytes_.insert(*id);
}

std::string TextStream::grown(std::size_t end) {
  const auto decoded = [&](std::size_t last) {
    return tokenizer_->decode({ids_.begin() + static_cast<std::ptrdiff_t>(context_),
                               ids_.begin() + static_cast<std::ptrdiff_t>(last)},
                              /*skip_special=*/true);
  };
  const std::string before = decoded(said_), now = decoded(end);
  return now.size() > before.size() ? now.substr(before.size()) : std::string();
}

std::string TextStream::add(std::int64_t id) {
  ids_.push_back(id);
  if (bytes_.count(id) > 0) return {};
  std::string more = grown(ids_.size());
  if (more.empty() || more.ends_with("\xEF\xBF\xBD")) return {};
  context_ = said_;
  said_ = ids_.size();
  return more;
}

std::string TextStream::rest() {
  std::string more = grown(ids_.size());
  context_ = said_;
  said_ = ids_.size();
  return more;
}

}  // namespace cornstarch::dataio
