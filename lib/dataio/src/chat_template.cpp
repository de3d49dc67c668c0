#include "cornstarch/dataio/chat_template.h"

#include <algorithm>
#include <utility>

#include "answers.h"
#include "chat_form.h"
#include "checkpoint_template.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"
#include "named_templates.h"
#include "row_builder.h"

namespace cornstarch::dataio {
namespace {

using templates::Named;

constexpr const char* kCheckpoint = "checkpoint";

const NamedTemplate* find_named(const std::string& name) {
  const auto& all = named_templates();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const NamedTemplate& t) { return t.name == name; });
  return it == all.end() ? nullptr : &*it;
}

/// Of a special token; nothing where text would not become it.
std::optional<std::string> spelling(const Tokenizer& tokenizer, std::optional<std::int64_t> id) {
  if (!id) return std::nullopt;
  const std::string text = tokenizer.decode({*id});
  const auto ids = tokenizer.encode(text);
  return ids && *ids == std::vector{*id} ? std::optional(text) : std::nullopt;
}

Result<void> check_tokens(const NamedTemplate& chat, const Tokenizer& tokenizer) {
  std::vector<std::string> missing;
  for (const std::string_view token : chat.tokens) {
    const auto ids = tokenizer.encode(token);
    if (!ids || ids->size() != 1 || tokenizer.id(token) != ids->front())
      missing.push_back(cat("'", token, "'"));
  }
  if (chat.needs("bos_token") && !spelling(tokenizer, tokenizer.begin_id()))
    missing.emplace_back("a begin token");
  if (chat.needs("eos_token") && !spelling(tokenizer, tokenizer.end_id()))
    missing.emplace_back("an end token");
  if (missing.empty()) return {};
  return fail(ExitCode::bad_data,
              cat("the chat template '", chat.name, "' needs ", join(missing, ", "),
                  ", which the tokenizer does not have"),
              "take the template that the model knows ('plain' needs no tokens of its own), or name begin "
              "and end with data.bos_token and data.eos_token");
}

/// What templates find beside the messages, as transformers hands it to them.
std::vector<Named> constants_of(std::vector<Named> tokens, const Tokenizer& tokenizer) {
  std::vector<Named> out = {{"tools", {}}, {"documents", {}}};
  for (Named& token : tokens)
    if (token.first != "bos_token" && token.first != "eos_token") out.push_back(std::move(token));
  if (const auto text = spelling(tokenizer, tokenizer.begin_id())) out.emplace_back("bos_token", *text);
  if (const auto text = spelling(tokenizer, tokenizer.end_id())) out.emplace_back("eos_token", *text);
  return out;
}

}  // namespace

struct ChatTemplate::State {
  ChatForm form;
  bool marks_answers, adds_begin, apart;
};

std::vector<std::string> chat_templates() {
  std::vector<std::string> names;
  for (const NamedTemplate& chat : named_templates()) names.emplace_back(chat.name);
  names.emplace_back(kCheckpoint);
  return names;
}

Result<ChatTemplate> ChatTemplate::open(const std::string& name, const std::filesystem::path& tokenizer_path,
                                        const Tokenizer& tokenizer, const std::vector<MediaSource>& media) {
  const NamedTemplate* named = find_named(name);
  CheckpointTemplate read;
  if (named != nullptr) {
    if (const auto checked = check_tokens(*named, tokenizer); !checked)
      return tl::unexpected(checked.error());
    read = {named->source, cat("the chat template '", name, "'")};
  } else if (name == kCheckpoint) {
    auto found = read_checkpoint_template(tokenizer_path);
    if (!found) return tl::unexpected(found.error());
    read = std::move(*found);
  } else {
    return fail(ExitCode::usage,
                cat("no chat template '", name, "'; there are: ", join(chat_templates(), ", ")),
                did_you_mean(name, chat_templates()));
  }
  const auto text = templates::Template::parse(read.source, read.place);
  if (!text) return tl::unexpected(text.error());
  auto form = ChatForm::of(*text, constants_of(std::move(read.tokens), tokenizer), media);
  if (!form) return tl::unexpected(form.error());
  ChatTemplate out;
  out.state_ = std::make_shared<const State>(State{std::move(*form), text->marks_answers(),
                                                   named != nullptr && named->adds_begin,
                                                   named != nullptr && named->apart});
  return out;
}

Result<TextRow> ChatTemplate::row(std::span<const Turn> turns, const Tokenizer& tokenizer,
                                  const SampleExtents& items, config::TrainOn train_on) const {
  const State& chat = *state_;
  RowBuilder row(chat.form, tokenizer, items);
  if (chat.adds_begin) row.begin(train_on == config::TrainOn::all);
  const std::size_t step = chat.apart ? 1 : std::max<std::size_t>(turns.size(), 1);
  std::size_t last = turns.size();  // the last answer's turn, where each is written by itself
  while (last > 0 && !turns[last - 1].learn()) --last;
  for (std::size_t i = 0; i < turns.size(); i += step) {
    auto written = write_row(chat.form, chat.marks_answers, turns.subspan(i, step), train_on);
    if (!written) return tl::unexpected(written.error());
    if (chat.apart && train_on == config::TrainOn::last_answer && i + 1 != last) written->learnt.clear();
    if (auto done = row.add(turns.subspan(i, step), *written); !done) return tl::unexpected(done.error());
  }
  return row.take();
}

Result<TextRow> ChatTemplate::prompt(std::span<const Turn> turns, const Tokenizer& tokenizer,
                                     const SampleExtents& items) const {
  const State& chat = *state_;
  RowBuilder row(chat.form, tokenizer, items);
  if (chat.adds_begin) row.begin(false);
  const std::size_t step = chat.apart ? 1 : std::max<std::size_t>(turns.size(), 1);
  for (std::size_t i = 0; i < turns.size(); i += step) {
    const auto made = chat.form.render(turns.subspan(i, step), true);
    if (!made) return tl::unexpected(made.error());
    if (auto done = row.add(turns.subspan(i, step), {made->text}); !done) return tl::unexpected(done.error());
  }
  return row.take();
}

std::optional<std::int64_t> ChatTemplate::end_of_answer(const Tokenizer& tokenizer) const {
  const std::vector<Turn> turns = {{Role::user, "probe7"}, {Role::assistant, "probe8"}};
  const auto written = write_row(state_->form, state_->marks_answers, turns, config::TrainOn::answers);
  if (!written || written->learnt.empty()) return std::nullopt;
  const auto [from, to] = written->learnt.back();
  const std::string_view answer = std::string_view(written->text).substr(from, to - from);
  const std::size_t at = answer.rfind(turns[1].text);
  return at == std::string_view::npos ? std::nullopt
                                      : tokenizer.id(trim_unicode(answer.substr(at + turns[1].text.size())));
}

bool ChatTemplate::adds_begin() const { return state_->adds_begin; }
bool ChatTemplate::ends_with_newline() const { return state_->apart; }

}  // namespace cornstarch::dataio
