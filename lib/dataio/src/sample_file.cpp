#include "sample_file.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "data_url.h"
#include "shard.h"

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
  const auto column = [&](std::string_view mark) {
    const auto& all = index_.placeholders();
    return static_cast<std::size_t>(std::find(all.begin(), all.end(), mark) - all.begin());
  };
  for (const MediaSource& each : options.media) {
    columns_.push_back(column(each.placeholder));
    least_features_.push_back(each.least_features());
  }
  for (const MediaKind kind : kKinds) {
    parts_[static_cast<std::size_t>(kind)] = column(kPartMarks[static_cast<std::size_t>(kind)]);
    takers_[static_cast<std::size_t>(kind)] = encoder_of_parts(kind, options.media);
  }
}

std::string SampleFile::place(std::int64_t sample) const {
  const SampleIndex::Entry& entry = index_[sample];
  if (index_.is_shard()) {
    auto first = TarReader(data_.part(0, data_.size()), static_cast<std::int64_t>(entry.offset)).next();
    const auto name = first && *first ? shard_name((*first)->name) : std::nullopt;
    if (name) return cat(data_.path().string(), ":", name->key, ".*");
  }
  return cat(data_.path().string(), ":", entry.line);
}

int SampleFile::items(std::int64_t sample, std::size_t encoder) const {
  return sound(sample) ? static_cast<int>(counted(sample, encoder)) : 0;
}

std::int64_t SampleFile::counted(std::int64_t sample, std::size_t encoder) const {
  const auto counts = index_.counts(sample);
  const auto kind = static_cast<std::size_t>(options_->media[encoder].kind);
  return counts[columns_[encoder]] + (takers_[kind] == encoder ? counts[parts_[kind]] : 0);
}

bool SampleFile::sound(std::int64_t sample) const {
  const SampleIndex::Entry& entry = index_[sample];
  if (entry.malformed != 0) return false;
  std::array<std::int64_t, kMediaKinds> unplaced = {};
  std::copy(entry.files.begin(), entry.files.end(), unplaced.begin());
  for (std::size_t kind = 0; kind < kMediaKinds; ++kind)
    if (!takers_[kind] && index_.counts(sample)[parts_[kind]] > 0) return false;
  std::int64_t features = 0;
  for (std::size_t e = 0; e < columns_.size(); ++e) {
    const MediaSource& source = options_->media[e];
    const std::int64_t items = counted(sample, e);
    unplaced[static_cast<std::size_t>(source.kind)] -= items;
    features += items * least_features_[e];
  }
  return features <= options_->sequence_length && unplaced == decltype(unplaced){};
}

Result<Conversation> SampleFile::parse(std::int64_t sample) const {
  const SampleIndex::Entry& entry = index_[sample];
  const auto offset = static_cast<std::int64_t>(entry.offset);
  if (!index_.is_shard()) return read_conversation(data_.text(offset, entry.length));
  auto packed = ShardReader(data_.part(0, data_.size()), offset).next();
  if (!packed) return tl::unexpected(packed.error());
  if (!*packed) return fail(ExitCode::bad_data, "no sample of a shard");
  auto conversation = read_shard_sample(**packed, data_);
  if (conversation) conversation->members = std::move((*packed)->members);
  return conversation;
}

Result<Conversation> SampleFile::read(std::int64_t sample) const {
  auto conversation = parse(sample);
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

Result<ByteSource> SampleFile::media(const Conversation& sample, const std::string& name) const {
  if (is_data_url(name)) {
    auto bytes = data_of(name);
    if (bytes) return ByteSource::holding(std::move(*bytes));
    Error error = bytes.error();
    error.message = cat("'", shown_name(name), "': ", error.message);
    return tl::unexpected(std::move(error));
  }
  for (const TarMember& member : sample.members)
    if (member.name == name) return data_.part(member.begin, member.size);
  const auto path = media_.find(name);
  if (!path) return tl::unexpected(path.error());
  return ByteSource::open(*path);
}

/// Through one file.
class Review {
 public:
  Review(const SampleFile& file, Findings& findings) : file_(file), out_(findings) {
    const auto& all = file.index_.placeholders();
    const auto known = [](const auto& columns, std::size_t p) {
      return std::find(columns.begin(), columns.end(), p) != columns.end();
    };
    for (std::size_t p = 0; p < all.size(); ++p)
      if (!known(file.columns_, p) && !known(file.parts_, p)) strays_.push_back({p, {}});
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
    std::int64_t samples = 0, first = 0;
    void add(std::int64_t sample) {
      if (samples++ == 0) first = sample;
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
    if (entry.has_answer == 0) unanswered_.add(i);
    for (auto& [placeholder, seen] : strays_)
      if (file_.index_.counts(i)[placeholder] > 0) seen.add(i);
  }

  void look_for_media(std::int64_t i) {
    ++out_.looked_at;
    const auto& listed = file_.index_[i].files;
    if (std::all_of(listed.begin(), listed.end(), [](auto n) { return n == 0; })) return;
    const auto conversation = file_.read(i);
    if (!conversation) return;
    for (const auto& files : conversation->files) {
      for (const std::string& name : files) {
        const auto bytes = file_.media(*conversation, name);
        if (bytes) continue;
        ++out_.lacking;
        return out_.problems.add(bytes.error(), file_.place(i));
      }
    }
  }

  std::string place_at(std::int64_t line) const {
    if (file_.index_.is_shard() && line >= 1 && line <= file_.size()) return file_.place(line - 1);
    return cat(file_.data_.path().string(), ":", line);
  }

  void warn() {
    if (const std::int64_t unkeyed = file_.index_.unkeyed(); unkeyed > 0)
      out_.warnings.push_back(
          cat(file_.data_.path().string(), ": ", unkeyed,
              " members are of no sample, since their names begin with a dot or have none"));
    const auto say = [&](std::int64_t samples, const std::string& first, const std::string& what) {
      out_.warnings.push_back(
          cat(first, ": ", what, " (", samples, " of ", file_.size(), " samples; this is the first)"));
    };
    if (unanswered_.samples > 0)
      say(unanswered_.samples, file_.place(unanswered_.first),
          "the conversation has no answer (a turn from 'gpt' or 'assistant'): nothing is learnt from it");
    for (const auto& [placeholder, seen] : strays_)
      if (seen.samples > 0)
        say(seen.samples, file_.place(seen.first),
            cat("'", file_.index_.placeholders()[placeholder],
                "' is no encoder's placeholder: it stays text"));
    for (const SampleIndex::Unread& unread : file_.index_.unread())
      say(unread.samples, place_at(unread.first_line),
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
