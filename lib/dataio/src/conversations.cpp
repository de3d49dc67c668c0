#include "cornstarch/dataio/conversations.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "chat_template.h"
#include "conversation.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/preprocess.h"
#include "sample_file.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kShownProblems = 20;

/// What is wrong with the files, as far as it is shown.
class Problems {
 public:
  void add(const Error& error, const std::string& where) {
    if (count_++ == 0) code_ = error.code;
    if (shown_.size() < kShownProblems)
      shown_.push_back(where.empty() ? error.message : cat(where, ": ", error.message));
  }
  bool any() const { return count_ > 0; }
  Error error() const {
    std::string text = join(shown_, "\n");
    if (count_ > shown_.size()) text += cat("\nand ", count_ - shown_.size(), " more");
    return {code_, text, {}};
  }

 private:
  ExitCode code_ = ExitCode::bad_data;
  std::size_t count_ = 0;
  std::vector<std::string> shown_;
};

/// One file of samples. The data set sees it as `weighted` samples, sample i being sample i mod size.
struct SampleFile {
  ConversationFile source;
  MappedFile content;
  std::vector<SamplePlace> places;
  std::vector<int> items;  ///< samples x encoders
  std::int64_t begin = 0;  ///< in the data set
  std::int64_t weighted = 0;
};

struct Preparer {
  std::optional<ImagePreprocessor> image;
  std::optional<LogMel> audio;
};

Result<Preparer> make_preparer(const MediaSource& source) {
  Preparer preparer;
  if (source.kind == MediaKind::image) {
    auto image = ImagePreprocessor::parse(source.preprocessor_json, source.item_shape);
    if (!image) return tl::unexpected(image.error());
    preparer.image = std::move(*image);
  } else {
    auto audio = LogMel::parse(source.preprocessor_json, source.item_shape);
    if (!audio) return tl::unexpected(audio.error());
    preparer.audio = std::move(*audio);
  }
  return preparer;
}

Result<MediaItem> prepare(const Preparer& preparer, const std::filesystem::path& path) {
  if (preparer.image) {
    auto image = read_image(path);
    if (!image) return tl::unexpected(image.error());
    return (*preparer.image)(*image);
  }
  const LogMel::Options& wanted = preparer.audio->options();
  auto audio = read_audio(path, wanted.sampling_rate, wanted.n_samples);
  if (!audio) return tl::unexpected(audio.error());
  return (*preparer.audio)(std::move(*audio));
}

Result<void> check_files_exist(const Conversation& conversation, const std::filesystem::path& root) {
  for (const auto& files : conversation.files) {
    for (const std::string& file : files) {
      auto path = resolve_inside(root, file);
      if (!path) return tl::unexpected(path.error());
      std::error_code ignored;
      if (!std::filesystem::is_regular_file(*path, ignored))
        return fail(ExitCode::missing_input, cat("'", file, "' is not a file in '", root.string(), "'"));
    }
  }
  return {};
}

/// How many items each encoder takes of the sample, after everything that can be checked without decoding.
Result<std::vector<int>> check_sample(std::string_view json, const std::filesystem::path& root,
                                      const ConversationOptions& options) {
  auto conversation = read_conversation(json);
  if (!conversation) return tl::unexpected(conversation.error());
  std::vector<int> items(options.media.size());
  for (const MediaKind kind : {MediaKind::image, MediaKind::audio}) {
    auto encoders = assign_files(*conversation, kind, options.media);
    if (!encoders) return tl::unexpected(encoders.error());
    for (const int encoder : *encoders) ++items[static_cast<std::size_t>(encoder)];
  }
  std::int64_t features = 0;
  for (std::size_t e = 0; e < items.size(); ++e) features += items[e] * options.media[e].features_per_item;
  if (features > options.sequence_length)
    return fail(ExitCode::bad_data, cat("the sample's media alone take ", features,
                                        " tokens, sequence_length is ", options.sequence_length));
  auto exist = check_files_exist(*conversation, root);
  if (!exist) return tl::unexpected(exist.error());
  return items;
}

std::string where(const SampleFile& file, std::size_t sample) {
  return cat(file.source.path.string(), ":", file.places[sample].line);
}

std::string_view json_of(const SampleFile& file, std::size_t sample) {
  const SamplePlace& place = file.places[sample];
  return file.content.text().substr(place.offset, place.length);
}

/// The file with its index; what is wrong in it goes to `problems`.
std::optional<SampleFile> index_file(const ConversationFile& source, const ConversationOptions& options,
                                     Problems& problems) {
  auto content = MappedFile::open(source.path);
  if (!content) {
    problems.add(content.error(), {});
    return std::nullopt;
  }
  auto places = find_samples(content->text());
  if (!places) {
    Error error = places.error();
    error.message = cat(source.path.string(), ":", error.message);
    problems.add(error, {});
    return std::nullopt;
  }
  SampleFile file{source, std::move(*content), std::move(*places), {}, 0, 0};
  if (file.places.empty()) problems.add({ExitCode::bad_data, "no samples", {}}, source.path.string());
  if (!(source.weight >= 0 && source.weight <= 1e6))
    problems.add({ExitCode::bad_data, cat("the weight ", source.weight, " is not between 0 and 1e6"), {}},
                 source.path.string());
  for (std::size_t i = 0; i < file.places.size(); ++i) {
    auto items = check_sample(json_of(file, i), source.media_root, options);
    if (items) {
      file.items.insert(file.items.end(), items->begin(), items->end());
    } else {
      problems.add(items.error(), where(file, i));
    }
  }
  return file;
}

}  // namespace

struct ConversationDataset::State {
  State(ConversationOptions o, Tokenizer t, const ChatTemplate* c)
      : options(std::move(o)), tokenizer(std::move(t)), chat_template(c) {}

  struct Sample {
    const SampleFile* file;
    std::size_t index;
  };
  Sample locate(std::int64_t sample) const {
    if (sample < 0 || sample >= size)
      throw Failure(ExitCode::internal, cat("sample ", sample, " of a data set of ", size));
    const auto after =
        std::upper_bound(files.begin(), files.end(), sample,
                         [](std::int64_t s, const SampleFile& file) { return s < file.begin; });
    const SampleFile& file = *(after - 1);
    return {&file, static_cast<std::size_t>((sample - file.begin) % std::ssize(file.places))};
  }
  static tl::unexpected<Error> failure(Error error, const Sample& at) {
    error.message = cat(where(*at.file, at.index), ": ", error.message);
    return tl::unexpected(std::move(error));
  }

  ConversationOptions options;
  Tokenizer tokenizer;
  const ChatTemplate* chat_template;
  std::vector<Preparer> preparers;  ///< per encoder
  std::vector<SampleFile> files;
  std::int64_t size = 0;
};

Result<void> check_source(const MediaSource& source) {
  const auto preparer = make_preparer(source);
  if (!preparer) return tl::unexpected(preparer.error());
  return {};
}

ConversationDataset::ConversationDataset(std::unique_ptr<State> state) : state_(std::move(state)) {}
ConversationDataset::~ConversationDataset() = default;

Result<std::unique_ptr<ConversationDataset>> ConversationDataset::open(const ConversationOptions& options) {
  const ChatTemplate* chat_template = find_chat_template(options.chat_template);
  if (chat_template == nullptr)
    return fail(
        ExitCode::usage,
        cat("no chat template '", options.chat_template, "'; there are: ", join(chat_templates(), ", ")),
        did_you_mean(options.chat_template, chat_templates()));
  auto tokenizer = Tokenizer::load(options.tokenizer, options.special_tokens);
  if (!tokenizer) return tl::unexpected(tokenizer.error());
  auto state = std::make_unique<State>(options, std::move(*tokenizer), chat_template);
  for (const MediaSource& source : options.media) {
    auto preparer = make_preparer(source);
    if (!preparer) return tl::unexpected(preparer.error());
    state->preparers.push_back(std::move(*preparer));
  }
  Problems problems;
  for (const ConversationFile& source : options.files) {
    auto file = index_file(source, options, problems);
    if (problems.any() || !file) continue;
    file->begin = state->size;
    file->weighted = std::llround(source.weight * static_cast<double>(file->places.size()));
    state->size += file->weighted;
    if (file->weighted > 0) state->files.push_back(std::move(*file));
  }
  if (problems.any()) return tl::unexpected(problems.error());
  if (state->size == 0) return fail(ExitCode::bad_data, "the data set has no samples");
  return std::unique_ptr<ConversationDataset>(new ConversationDataset(std::move(state)));
}

std::int64_t ConversationDataset::size() const { return state_->size; }

std::int64_t ConversationDataset::pad_id() const { return state_->tokenizer.pad_id(); }

const Tokenizer& ConversationDataset::tokenizer() const { return state_->tokenizer; }

SampleInfo ConversationDataset::info(std::int64_t sample) const {
  const auto at = state_->locate(sample);
  const auto encoders = std::ssize(state_->options.media);
  const auto first = at.file->items.begin() + static_cast<std::ptrdiff_t>(at.index) * encoders;
  return {std::vector<int>(first, first + encoders)};
}

Result<TextRow> ConversationDataset::text(std::int64_t sample) const {
  const auto at = state_->locate(sample);
  auto conversation = read_conversation(json_of(*at.file, at.index));
  if (!conversation) return State::failure(conversation.error(), at);
  auto row = make_row(*state_->chat_template, conversation->turns, state_->tokenizer, state_->options.media);
  if (!row) return State::failure(row.error(), at);
  const std::int64_t wanted = state_->options.sequence_length;
  if (row->length > wanted) {
    const auto media =
        std::count_if(row->ids.begin(), row->ids.end(), [](std::int64_t id) { return id < 0; });
    return State::failure({ExitCode::bad_data,
                           cat("the sample is ", row->length, " tokens long, ", media,
                               " of them for media; sequence_length is ", wanted),
                           "a larger batch.sequence_length, or a shorter sample"},
                          at);
  }
  row->ids.resize(static_cast<std::size_t>(wanted), pad_id());
  row->labels.resize(static_cast<std::size_t>(wanted), kIgnoreLabel);
  return row;
}

Result<std::vector<MediaItem>> ConversationDataset::media(std::int64_t sample, int encoder) const {
  const auto at = state_->locate(sample);
  auto conversation = read_conversation(json_of(*at.file, at.index));
  if (!conversation) return State::failure(conversation.error(), at);
  const auto e = static_cast<std::size_t>(encoder);
  const MediaKind kind = state_->options.media.at(e).kind;
  auto encoders = assign_files(*conversation, kind, state_->options.media);
  if (!encoders) return State::failure(encoders.error(), at);
  std::vector<MediaItem> items;
  for (std::size_t i = 0; i < encoders->size(); ++i) {
    if ((*encoders)[i] != encoder) continue;
    const std::string& name = conversation->of(kind)[i];
    auto path = resolve_inside(at.file->source.media_root, name);
    if (!path) return State::failure(path.error(), at);
    auto item = prepare(state_->preparers[e], *path);
    if (!item) {
      Error error = item.error();
      error.message = cat("'", name, "': ", error.message);
      return State::failure(std::move(error), at);
    }
    items.push_back(std::move(*item));
  }
  return items;
}

Result<Question> ConversationDataset::question(std::int64_t sample) const {
  const auto at = state_->locate(sample);
  auto conversation = read_conversation(json_of(*at.file, at.index));
  if (!conversation) return State::failure(conversation.error(), at);
  std::size_t answer = conversation->turns.size();
  while (answer > 0 && !conversation->turns[answer - 1].learn()) --answer;
  if (answer == 0) return State::failure({ExitCode::bad_data, "the conversation has no answer", {}}, at);
  auto prompt = make_prompt(*state_->chat_template, {conversation->turns.data(), answer - 1},
                            state_->tokenizer, state_->options.media);
  if (!prompt) return State::failure(prompt.error(), at);
  if (prompt->length >= state_->options.sequence_length)
    return State::failure({ExitCode::bad_data,
                           cat("the question is ", prompt->length, " tokens long, sequence_length is ",
                               state_->options.sequence_length),
                           {}},
                          at);
  std::fill(prompt->labels.begin(), prompt->labels.end(), kIgnoreLabel);
  return Question{std::move(*prompt), conversation->turns[answer - 1].text};
}

}  // namespace cornstarch::dataio
