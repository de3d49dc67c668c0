#include "sample_file.h"

#include <algorithm>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::array<MediaKind, kMediaKinds> kKinds = {MediaKind::image, MediaKind::audio, MediaKind::video};

/// A text of so many bytes a token is not even tokenised: no tokens are that long on average. (Llama 3's
/// longest are 128 spaces.)
constexpr std::int64_t kLongestToken = 128, kShortText = 1 << 16;

/// Checks everything that can be checked without looking at the media. How many items each encoder takes.
Result<std::vector<std::int64_t>> check(const Conversation& conversation,
                                        const ConversationOptions& options) {
  std::size_t text = 0;
  for (const Turn& turn : conversation.turns) text += turn.text.size();
  if (static_cast<std::int64_t>(text) > std::max(kShortText, kLongestToken * options.sequence_length))
    return fail(ExitCode::bad_data,
                cat("the sample's text of ", human_bytes(static_cast<double>(text)),
                    " does not fit: sequence_length is ", options.sequence_length),
                "a larger batch.sequence_length, or a shorter sample");
  std::int64_t features = 0;
  std::vector<std::int64_t> items(options.media.size());
  for (const MediaKind kind : kKinds) {
    auto encoders = assign_files(conversation, kind, options.media);
    if (!encoders) return tl::unexpected(encoders.error());
    for (const int e : *encoders) {
      ++items[static_cast<std::size_t>(e)];
      features += options.media[static_cast<std::size_t>(e)].least_features();
    }
  }
  if (features <= options.sequence_length) return items;
  return fail(ExitCode::bad_data, cat("the sample's media alone take ", features,
                                      " tokens, sequence_length is ", options.sequence_length));
}

}  // namespace

Result<SampleFile> SampleFile::open(const ConversationFile& source, const ConversationOptions& options) {
  auto data = DataFile::open(source.path);
  if (!data) return tl::unexpected(data.error());
  std::vector<std::string> placeholders;
  for (const MediaSource& each : options.media) placeholders.push_back(each.placeholder);
  auto index = SampleIndex::open(*data, placeholders);
  if (!index) return tl::unexpected(index.error());
  return SampleFile(source, std::move(*data), std::move(*index), options);
}

SampleFile::SampleFile(const ConversationFile& source, DataFile data, SampleIndex index,
                       const ConversationOptions& options)
    : options_(&options), data_(std::move(data)), index_(std::move(index)), media_(source.media_root) {
  const auto& all = index_.placeholders();
  for (const MediaSource& each : options.media) {
    columns_.push_back(
        static_cast<std::size_t>(std::find(all.begin(), all.end(), each.placeholder) - all.begin()));
    least_features_.push_back(each.least_features());
  }
}

std::string SampleFile::place(std::int64_t sample) const {
  return cat(data_.path().string(), ":", index_[sample].line);
}

int SampleFile::items(std::int64_t sample, std::size_t encoder) const {
  return sound(sample) ? index_.counts(sample)[columns_[encoder]] : 0;
}

bool SampleFile::sound(std::int64_t sample) const {
  const SampleIndex::Entry& entry = index_[sample];
  if (entry.malformed != 0) return false;
  std::array<std::int64_t, kMediaKinds> unplaced = {};
  std::copy(entry.files.begin(), entry.files.end(), unplaced.begin());
  std::int64_t features = 0;
  for (std::size_t e = 0; e < columns_.size(); ++e) {
    const MediaSource& source = options_->media[e];
    const std::int64_t items = index_.counts(sample)[columns_[e]];
    unplaced[static_cast<std::size_t>(source.kind)] -= items;
    features += items * least_features_[e];
  }
  return features <= options_->sequence_length && unplaced == decltype(unplaced){};
}

Result<Conversation> SampleFile::read(std::int64_t sample) const {
  const SampleIndex::Entry& entry = index_[sample];
  auto conversation = read_conversation(data_.text(static_cast<std::int64_t>(entry.offset), entry.length));
  if (!conversation) return conversation;
  const auto found = check(*conversation, *options_);
  if (!found) return tl::unexpected(found.error());
  bool known = sound(sample);
  for (std::size_t e = 0; e < found->size(); ++e) known = known && (*found)[e] == items(sample, e);
  if (!known)
    throw Failure(ExitCode::bad_data, cat(place(sample), ": not the sample that the index knows"),
                  "the file was changed without a change of its time: touch it");
  return conversation;
}

/// Through one file.
class Review {
 public:
  Review(const SampleFile& file, Findings& findings) : file_(file), out_(findings) {
    const auto& all = file.index_.placeholders();
    for (std::size_t p = 0; p < all.size(); ++p)
      if (std::find(file.columns_.begin(), file.columns_.end(), p) == file.columns_.end())
        strays_.push_back({p, {}});
  }

  void look_through() {
    const std::int64_t looks = std::min(kLooks, file_.size());
    for (std::int64_t i = 0; i < file_.size(); ++i) {
      look_at(i);
      if (i * looks / file_.size() != (i + 1) * looks / file_.size() && file_.sound(i)) look_for_media(i);
    }
    out_.samples += file_.size();
    out_.unanswered += unanswered_.samples;
    warn();
  }

 private:
  /// Of 1 % that are lost, one is among so many but for one time in 20,000.
  static constexpr std::int64_t kLooks = 1000;

  struct Seen {
    std::int64_t samples = 0, first_line = 0;
    void add(std::int64_t line) {
      if (samples++ == 0) first_line = line;
    }
  };

  void look_at(std::int64_t i) {
    const SampleIndex::Entry& entry = file_.index_[i];
    if (!file_.sound(i)) {
      ++out_.bad;
      if (out_.problems.full()) return out_.problems.count();
      const auto conversation = file_.read(i);
      if (!conversation) out_.problems.add(conversation.error(), file_.place(i));
      return;
    }
    if (entry.has_answer == 0) unanswered_.add(entry.line);
    for (auto& [placeholder, seen] : strays_)
      if (file_.index_.counts(i)[placeholder] > 0) seen.add(entry.line);
  }

  void look_for_media(std::int64_t i) {
    ++out_.looked_at;
    const auto& listed = file_.index_[i].files;
    if (std::all_of(listed.begin(), listed.end(), [](auto n) { return n == 0; })) return;
    const auto conversation = file_.read(i);
    if (!conversation) return;
    for (const auto& files : conversation->files) {
      for (const std::string& name : files) {
        const auto path = file_.media(name);
        if (path) continue;
        ++out_.lacking;
        return out_.problems.add(path.error(), file_.place(i));
      }
    }
  }

  void warn() {
    const auto say = [&](std::int64_t samples, std::int64_t line, const std::string& what) {
      out_.warnings.push_back(cat(file_.data_.path().string(), ":", line, ": ", what, " (", samples, " of ",
                                  file_.size(), " samples; this is the first)"));
    };
    if (unanswered_.samples > 0)
      say(unanswered_.samples, unanswered_.first_line,
          "the conversation has no answer (a turn from 'gpt' or 'assistant'): nothing is learnt from it");
    for (const auto& [placeholder, seen] : strays_)
      if (seen.samples > 0)
        say(seen.samples, seen.first_line,
            cat("'", file_.index_.placeholders()[placeholder],
                "' is no encoder's placeholder: it stays text"));
    for (const SampleIndex::Unread& unread : file_.index_.unread())
      say(unread.samples, unread.first_line,
          cat("'", unread.key,
              "' names media, but nothing reads it; keys that are read: image, images, audio, audios"));
  }

  const SampleFile& file_;
  Findings& out_;
  Seen unanswered_;
  std::vector<std::pair<std::size_t, Seen>> strays_;  ///< placeholders that no encoder takes
};

void review(const SampleFile& file, Findings& findings) { Review(file, findings).look_through(); }

}  // namespace cornstarch::dataio
