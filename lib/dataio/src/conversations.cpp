#include "cornstarch/dataio/conversations.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/reading.h"
#include "data_url.h"
#include "preparer.h"
#include "source.h"

namespace cornstarch::dataio {

namespace fs = std::filesystem;

namespace {

/// Of an epoch: their order takes 8 bytes each.
constexpr std::int64_t kMostSamples = std::int64_t{1} << 31;

/// Whether the findings allow to go on; what is tolerated is said.
Result<void> judge(Findings& found, double max_bad_fraction) {
  const auto too_many = [&](std::int64_t bad, std::int64_t of) {
    return static_cast<double>(bad) > max_bad_fraction * static_cast<double>(of);
  };
  const bool refused = too_many(found.bad, found.samples) || too_many(found.lacking, found.looked_at);
  const std::string title =
      found.bad > 0 ? cat(found.bad, " of ", found.samples, " samples cannot be used")
                    : cat(found.lacking, " of ", found.looked_at, " samples that were looked at lack media");
  if (refused && max_bad_fraction == 0) return tl::unexpected(found.problems.error());
  if (refused)
    return tl::unexpected(
        found.problems.error(cat(title, " (data.max_bad_fraction is ", max_bad_fraction, "):")));
  if (found.bad + found.lacking > 0)
    found.warnings.push_back(found.problems.error(cat(title, " and will be skipped:")).message);
  if (found.unanswered + found.bad == found.samples)
    return fail(ExitCode::bad_data, "no conversation has an answer (a turn from 'gpt' or 'assistant')",
                "what is learnt are the answers");
  return {};
}

/// Takes off the end of a row that is too long. Features stay with all of their item: where one stands behind
/// the cut, or nothing to learn in front of it, the sample cannot be cut.
Result<void> cut_row(TextRow& row, std::int64_t length, bool may_cut) {
  const auto is_feature = [](std::int64_t id) { return id < 0; };
  const auto bad = [&](const std::string& more) {
    return fail(ExitCode::bad_data,
                cat("the sample is ", row.length, " tokens long, ",
                    std::count_if(row.ids.begin(), row.ids.end(), is_feature),
                    " of them for media; sequence_length is ", length, more),
                "a larger batch.sequence_length, or a shorter sample");
  };
  if (!may_cut) return bad("");
  if (std::any_of(row.ids.begin() + length, row.ids.end(), is_feature))
    return bad(": media stand behind what fits, so that it cannot be cut there");
  if (std::all_of(row.labels.begin() + 1, row.labels.begin() + length,
                  [](std::int64_t label) { return label == kIgnoreLabel; }))
    return bad(": nothing to learn stands in what fits");
  row.ids.resize(static_cast<std::size_t>(length));
  row.labels.resize(static_cast<std::size_t>(length));
  row.length = length;
  row.cut = true;
  return {};
}

}  // namespace

struct ConversationDataset::State {
  State(ConversationOptions o, Tokenizer t, ChatTemplate c)
      : options(std::move(o)), tokenizer(std::move(t)), chat_template(std::move(c)) {}

  using Sample = Source::Sample;
  Sample locate(std::int64_t sample) const {
    if (sample < 0 || sample >= size)
      throw Failure(ExitCode::internal, cat("sample ", sample, " of a data set of ", size));
    const auto source =
        static_cast<std::size_t>(std::upper_bound(begins.begin(), begins.end(), sample) - begins.begin() - 1);
    return sources[source][sample - begins[source]];
  }
  static tl::unexpected<Error> failure(Error error, const Sample& at) {
    error.message = cat(at.file->place(at.index), ": ", error.message);
    return tl::unexpected(std::move(error));
  }
  /// The files of a sample that an encoder takes, in the order of its placeholders.
  Result<std::vector<std::string>> files_of(const Conversation& conversation, std::size_t encoder) const;
  /// What `make` makes of each. `reading` ends with the caller.
  template <class T>
  Result<std::vector<T>> make_all(const Sample& at, const Conversation& conversation, std::size_t encoder,
                                  std::optional<Reading>& reading,
                                  Result<T> (Preparer::*make)(ByteSource) const) const;
  Result<SampleExtents> extents_of(const Sample& at, const Conversation& conversation,
                                   std::optional<Reading>& reading) const;
  Result<void> open_sources();
  Result<void> take(std::vector<Source> opened);

  ConversationOptions options;
  Tokenizer tokenizer;
  ChatTemplate chat_template;
  std::vector<Preparer> preparers;   ///< per encoder
  std::vector<Source> sources;       ///< of which there are samples
  std::vector<std::int64_t> begins;  ///< each one's first sample
  std::vector<std::string> warnings;
  std::int64_t size = 0;
};

Result<void> check_source(const MediaSource& source) {
  const auto preparer = Preparer::make(source);
  if (!preparer) return tl::unexpected(preparer.error());
  return {};
}

Result<std::vector<std::string>> ConversationDataset::State::files_of(const Conversation& conversation,
                                                                      std::size_t encoder) const {
  const MediaKind kind = options.media.at(encoder).kind;
  const auto encoders = assign_files(conversation, kind, options.media);
  if (!encoders) return tl::unexpected(encoders.error());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < encoders->size(); ++i)
    if ((*encoders)[i] == static_cast<int>(encoder)) out.push_back(conversation.of(kind)[i]);
  return out;
}

template <class T>
Result<std::vector<T>> ConversationDataset::State::make_all(
    const Sample& at, const Conversation& conversation, std::size_t encoder, std::optional<Reading>& reading,
    Result<T> (Preparer::*make)(ByteSource) const) const {
  const auto names = files_of(conversation, encoder);
  if (!names) return tl::unexpected(names.error());
  std::vector<T> out;
  for (const std::string& name : *names) {
    reading.emplace(cat(at.file->place(at.index), ": '", shown_name(name), "'"));
    auto bytes = at.file->media(conversation, name);
    if (!bytes) return tl::unexpected(bytes.error());
    auto made = (preparers[encoder].*make)(std::move(*bytes));
    if (!made) {
      Error error = made.error();
      error.message = cat("'", shown_name(name), "': ", error.message);
      return tl::unexpected(std::move(error));
    }
    out.push_back(std::move(*made));
  }
  return out;
}

Result<SampleExtents> ConversationDataset::State::extents_of(const Sample& at,
                                                             const Conversation& conversation,
                                                             std::optional<Reading>& reading) const {
  SampleExtents out;
  for (std::size_t e = 0; e < options.media.size(); ++e) {
    if (const auto& all = options.media[e].extents) {
      out.emplace_back(static_cast<std::size_t>(at.file->items(at.index, e)), *all);
      continue;
    }
    auto each = make_all(at, conversation, e, reading, &Preparer::extents);
    if (!each) return tl::unexpected(each.error());
    out.push_back(std::move(*each));
  }
  return out;
}

Result<void> ConversationDataset::State::take(std::vector<Source> opened) {
  const auto bound = held_out_bound(opened, options.hold_out);
  if (!bound) return tl::unexpected(bound.error());
  for (Source& source : opened) {
    source.select(*bound);
    if (source.weighted() == 0) continue;
    begins.push_back(size);
    size += source.weighted();
    if (size > kMostSamples)
      return fail(
          ExitCode::bad_data,
          cat(source.name(), ": an epoch of ", size, " samples and more; ", kMostSamples, " can be dealt"),
          "lower the weights of the data");
    sources.push_back(std::move(source));
  }
  if (size > 0) return {};
  return fail(ExitCode::bad_data,
              options.hold_out > 0 ? cat("the data set has no samples: eval.hold_out is ", options.hold_out)
                                   : std::string("the data set has no samples"));
}

Result<void> ConversationDataset::State::open_sources() {
  Findings found;
  Problems unusable;  // sources as a whole
  std::vector<Source> opened;
  for (const ConversationFile& wanted : options.files) {
    auto source = Source::open(wanted, options);
    if (source) {
      opened.push_back(std::move(*source));
    } else {
      unusable.add(source.error(), {});
    }
  }
  const auto taken = take(std::move(opened));
  if (!taken && unusable.size() == 0) return taken;
  for (const Source& source : sources) review(source, found);
  auto judged = judge(found, options.max_bad_fraction);
  warnings = std::move(found.warnings);
  if (unusable.size() == 0) return judged;
  Error error = unusable.error();
  if (found.problems.size() > 0) {
    const Error also = found.problems.error();
    error.message = cat(also.message, "\n", error.message);
    error.help = also.help;
  }
  return tl::unexpected(std::move(error));
}

ConversationDataset::ConversationDataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConversationDataset::~ConversationDataset() = default;

Result<std::unique_ptr<ConversationDataset>> ConversationDataset::open(const ConversationOptions& options) {
  auto tokenizer = Tokenizer::load(options.tokenizer, options.special_tokens);
  if (!tokenizer) return tl::unexpected(tokenizer.error());
  auto chat = ChatTemplate::open(options.chat_template, options.tokenizer, *tokenizer, options.media);
  if (!chat) return tl::unexpected(chat.error());
  auto state = std::make_unique<State>(options, std::move(*tokenizer), std::move(*chat));
  for (MediaSource& source : state->options.media) {
    auto preparer = Preparer::make(source);
    if (!preparer) return tl::unexpected(preparer.error());
    if (source.preprocessor_json.empty()) source.preprocessor_json = preparer->to_json();
    state->preparers.push_back(std::move(*preparer));
  }
  auto opened = state->open_sources();
  if (!opened) return tl::unexpected(opened.error());
  return std::unique_ptr<ConversationDataset>(new ConversationDataset(std::move(state)));
}

std::int64_t ConversationDataset::size() const { return state_->size; }

std::int64_t ConversationDataset::pad_id() const { return state_->tokenizer.pad_id(); }

const Tokenizer& ConversationDataset::tokenizer() const { return state_->tokenizer; }

const ConversationOptions& ConversationDataset::options() const { return state_->options; }

std::optional<std::int64_t> ConversationDataset::answer_end_id() const {
  return state_->chat_template.end_of_answer(state_->tokenizer);
}

const std::vector<std::string>& ConversationDataset::warnings() const { return state_->warnings; }

std::string ConversationDataset::place(std::int64_t sample) const {
  const auto at = state_->locate(sample);
  return at.file->place(at.index);
}

const std::string& ConversationDataset::preprocessor_json(int encoder) const {
  return state_->options.media.at(static_cast<std::size_t>(encoder)).preprocessor_json;
}

SampleInfo ConversationDataset::info(std::int64_t sample) const {
  const auto at = state_->locate(sample);
  SampleInfo info;
  for (std::size_t e = 0; e < state_->options.media.size(); ++e)
    info.items.push_back(at.file->items(at.index, e));
  return info;
}

Result<SampleExtents> ConversationDataset::extents(std::int64_t sample) const {
  const auto state = state_;
  const auto at = state->locate(sample);
  bool asks = false;
  for (std::size_t e = 0; e < state->options.media.size(); ++e)
    asks = asks || (!state->options.media[e].extents && at.file->items(at.index, e) > 0);
  std::optional<Reading> reading;
  Result<Conversation> conversation;
  if (asks) {
    reading.emplace(at.file->place(at.index));
    conversation = at.file->read(at.index);
    if (!conversation) return State::failure(conversation.error(), at);
  }
  auto items = state->extents_of(at, *conversation, reading);
  if (!items) return State::failure(items.error(), at);
  return items;
}

Result<TextRow> ConversationDataset::whole_text(std::int64_t sample) const {
  const auto state = state_;
  const auto at = state->locate(sample);
  std::optional<Reading> reading(at.file->place(at.index));
  auto conversation = at.file->read(at.index);
  if (!conversation) return State::failure(conversation.error(), at);
  const auto items = state->extents_of(at, *conversation, reading);
  if (!items) return State::failure(items.error(), at);
  auto row = state->chat_template.row(conversation->turns, state->tokenizer, *items, state->options.train_on);
  if (!row) return State::failure(row.error(), at);
  return row;
}

Result<TextRow> ConversationDataset::text(std::int64_t sample) const {
  const auto state = state_;
  auto row = whole_text(sample);
  if (!row) return row;
  const std::int64_t wanted = state->options.sequence_length;
  if (row->length > wanted) {
    auto cut = cut_row(*row, wanted, state->options.cut_long);
    if (!cut) return State::failure(cut.error(), state->locate(sample));
  }
  row->ids.resize(static_cast<std::size_t>(wanted), state->tokenizer.pad_id());
  row->labels.resize(static_cast<std::size_t>(wanted), kIgnoreLabel);
  return row;
}

Result<std::vector<MediaItem>> ConversationDataset::media(std::int64_t sample, int encoder) const {
  const auto state = state_;
  const auto at = state->locate(sample);
  std::optional<Reading> reading(at.file->place(at.index));
  auto conversation = at.file->read(at.index);
  if (!conversation) return State::failure(conversation.error(), at);
  auto items =
      state->make_all(at, *conversation, static_cast<std::size_t>(encoder), reading, &Preparer::operator());
  if (!items) return State::failure(items.error(), at);
  return items;
}

Result<std::vector<MediaFile>> ConversationDataset::files(std::int64_t sample, int encoder) const {
  const auto state = state_;
  const auto e = static_cast<std::size_t>(encoder);
  const auto at = state->locate(sample);
  std::optional<Reading> reading(at.file->place(at.index));
  auto conversation = at.file->read(at.index);
  if (!conversation) return State::failure(conversation.error(), at);
  auto files = state->make_all(at, *conversation, e, reading, &Preparer::look);
  if (!files) return State::failure(files.error(), at);
  const auto names = state->files_of(*conversation, e);
  for (std::size_t i = 0; i < files->size(); ++i) (*files)[i].name = shown_name((*names)[i]);
  return files;
}

Image ConversationDataset::picture_of(const MediaItem& item, const catalog::Extents& extents,
                                      int encoder) const {
  return state_->preparers.at(static_cast<std::size_t>(encoder)).picture_of(item, extents);
}

Result<Question> ConversationDataset::question(std::int64_t sample) const {
  const auto state = state_;
  const auto at = state->locate(sample);
  std::optional<Reading> reading(at.file->place(at.index));
  auto conversation = at.file->read(at.index);
  if (!conversation) return State::failure(conversation.error(), at);
  std::size_t answer = conversation->turns.size();
  while (answer > 0 && !conversation->turns[answer - 1].learn()) --answer;
  if (answer == 0) return State::failure({ExitCode::bad_data, "the conversation has no answer", {}}, at);
  const auto items = state->extents_of(at, *conversation, reading);
  if (!items) return State::failure(items.error(), at);
  auto prompt =
      state->chat_template.prompt({conversation->turns.data(), answer - 1}, state->tokenizer, *items);
  if (!prompt) return State::failure(prompt.error(), at);
  if (prompt->length >= state->options.sequence_length)
    return State::failure({ExitCode::bad_data,
                           cat("the question is ", prompt->length, " tokens long, sequence_length is ",
                               state->options.sequence_length),
                           {}},
                          at);
  return Question{std::move(*prompt), conversation->turns[answer - 1].text,
                  answer > 1 ? conversation->turns[answer - 2].text : std::string()};
}

}  // namespace cornstarch::dataio
