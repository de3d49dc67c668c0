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

Result<SampleFile> SampleFile::open(const std::filesystem::path& path,
                                    const std::filesystem::path& media_root,
                                    const ConversationOptions& options) {
  auto data = DataFile::open(path);
  if (!data) return tl::unexpected(data.error());
  std::vector<std::string> placeholders;
  for (const MediaSource& each : options.media) placeholders.push_back(each.placeholder);
  auto index = SampleIndex::open(*data, placeholders);
  if (!index) return tl::unexpected(index.error());
  std::optional<ParquetFile> parquet;
  if (index->is_parquet()) {
    auto table = ParquetFile::open(*data);
    if (!table) return tl::unexpected(table.error());
    parquet = std::move(*table);
  }
  return SampleFile(std::move(*data), std::move(*index), std::move(parquet),
                    media_root.empty() ? path.parent_path() : media_root, options);
}

SampleFile::SampleFile(DataFile data, SampleIndex index, std::optional<ParquetFile> parquet,
                       const std::filesystem::path& media_root, const ConversationOptions& options)
    : options_(&options),
      data_(std::move(data)),
      index_(std::move(index)),
      parquet_(std::move(parquet)),
      media_(media_root) {
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
  if (parquet_) return parquet_->read(offset, entry.length);
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
  for (const Conversation::Bytes& each : sample.bytes)
    if (each.name == name) return ByteSource::holding(each.content);
  const auto path = media_.find(name);
  if (!path) return tl::unexpected(path.error());
  return ByteSource::open(*path);
}

}  // namespace cornstarch::dataio
