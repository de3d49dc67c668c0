#include <algorithm>
#include <limits>
#include <map>
#include <thread>

#include "conversation.h"
#include "cornstarch/base/checked.h"
#include "cornstarch/base/parallel.h"
#include "cornstarch/base/text.h"
#include "cornstarch/telemetry/progress.h"
#include "foreign_form.h"
#include "index_format.h"
#include "json_text.h"
#include "parquet.h"
#include "sample_index.h"
#include "sample_splitter.h"
#include "shard.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kChunk = std::size_t{8} << 20;
constexpr std::size_t kMaxUnread = 16;
constexpr std::size_t kShardBatch = 1024;  // samples

std::uint16_t saturated(std::size_t n) {
  return static_cast<std::uint16_t>(std::min<std::size_t>(n, std::numeric_limits<std::uint16_t>::max()));
}

struct Sample {
  SampleIndex::Entry entry = {};
  std::vector<std::uint16_t> counts;
  std::vector<std::string> unread;
};

Sample facts_of(const Result<Conversation>& conversation, const std::vector<std::string>& placeholders) {
  Sample sample;
  sample.counts.assign(placeholders.size(), 0);
  sample.entry.malformed = conversation ? 0 : 1;
  if (!conversation) return sample;
  sample.entry.identity = identity_of(*conversation);
  sample.entry.has_answer = conversation->has_answer() ? 1 : 0;
  for (std::size_t kind = 0; kind < kMediaKinds; ++kind)
    sample.entry.files[kind] = saturated(conversation->files[kind].size());
  for (const Turn& turn : conversation->turns) {
    for (const Stretch& stretch : cut_at_placeholders(turn.text, placeholders)) {
      if (stretch.encoder < 0) continue;
      std::uint16_t& n = sample.counts[static_cast<std::size_t>(stretch.encoder)];
      n = saturated(n + std::size_t{1});
    }
  }
  sample.unread = conversation->unread;
  return sample;
}

class Maker {
 public:
  Maker(const DataFile& file, const std::vector<std::string>& placeholders)
      : file_(file),
        placeholders_(placeholders),
        progress_("finding the samples of " + file.path().filename().string(), file.size(),
                  telemetry::Progress::kBytes) {
    stride_ = index_stride(sizeof(SampleIndex::Entry), placeholders.size());
    out_.resize(sizeof(IndexHead));
  }

  Result<std::string> make() {
    std::string head(1024, '\0');
    const auto got = file_.read(0, head.data(), head.size());
    if (!got) return tl::unexpected(got.error());
    head.resize(*got);
    parquet_ = is_parquet(head) && reads_parquet();
    if (auto foreign = parquet_ ? std::nullopt : foreign_form(head, file_.path()))
      return tl::unexpected(std::move(*foreign));
    shard_ = is_tar(head);
    const auto done = parquet_ ? add_table() : shard_ ? add_shard() : add_text();
    if (!done) return tl::unexpected(done.error());
    return finish();
  }

 private:
  Result<void> add_text() {
    std::string text;
    std::int64_t offset = 0;  ///< of text in the file
    for (bool last = false; !last;) {
      const std::size_t kept = text.size();
      text.resize(std::min(kept + std::max(kChunk, kept), kMaxSampleBytes + kChunk));
      const auto got =
          file_.read(offset + static_cast<std::int64_t>(kept), text.data() + kept, text.size() - kept);
      if (!got) return tl::unexpected(got.error());
      text.resize(kept + *got);
      last = offset + std::ssize(text) >= file_.size() || *got == 0;
      std::vector<SamplePlace> places;
      auto done = splitter_.split(text, last, places);
      if (!done) return at_line(done.error().message, done.error().help);
      if (auto added = add(text, offset, places); !added) return tl::unexpected(added.error());
      if (text.size() - *done > kMaxSampleBytes) return too_long(splitter_.line());
      text.erase(0, *done);
      offset += static_cast<std::int64_t>(*done);
      progress_.add(static_cast<std::int64_t>(*done));
    }
    return {};
  }

  Result<void> add_shard() {
    ShardReader reader(file_.part(0, file_.size()));
    std::vector<ShardSample> some;
    std::int64_t reached = 0;
    while (true) {
      auto sample = reader.next();
      if (!sample)
        return fail(sample.error().code, cat(file_.path().string(), ": ", sample.error().message),
                    sample.error().help);
      const bool last = !*sample;
      if (!last) some.push_back(std::move(**sample));
      if (last || some.size() == kShardBatch) {
        if (auto added = add(some); !added) return added;
        some.clear();
        progress_.add(reader.position() - std::exchange(reached, reader.position()));
      }
      if (last) break;
    }
    unkeyed_ = reader.unkeyed();
    return {};
  }

  Result<void> add_table() {
    const auto table = ParquetFile::open(file_);
    if (!table) return tl::unexpected(table.error());
    for (std::int64_t group = 0; group < table->groups(); ++group) {
      const auto rows = table->samples(group);
      if (!rows) return tl::unexpected(rows.error());
      std::vector<Sample> samples = all_facts(rows->size(), [&](std::size_t i) {
        return facts_of(read_conversation((*rows)[i]), placeholders_);
      });
      for (std::size_t i = 0; i < samples.size(); ++i) {
        if (samples_ == std::numeric_limits<std::uint32_t>::max())
          return at_line(cat(" ", samples_, " samples and more than an index can count"), {});
        samples[i].entry.offset = static_cast<std::uint64_t>(group);
        samples[i].entry.length = static_cast<std::uint32_t>(i);
        samples[i].entry.line = static_cast<std::uint32_t>(samples_ + 1);
        append(samples[i]);
      }
      progress_.add(share(file_.size(), table->groups(), group).size());
    }
    return {};
  }

  /// Of several, on several threads.
  template <class Facts>
  static std::vector<Sample> all_facts(std::size_t n, Facts facts) {
    std::vector<Sample> samples(n);
    const std::size_t workers = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 16);
    const std::size_t share = 64;  // enough for a thread not to wait for the next one
    parallel_for((n + share - 1) / share, static_cast<int>(workers), [&](std::size_t part) {
      for (std::size_t i = part * share; i < std::min(n, (part + 1) * share); ++i) samples[i] = facts(i);
    });
    return samples;
  }

  Result<void> add(const std::vector<ShardSample>& some) {
    std::vector<Sample> samples = all_facts(some.size(), [&](std::size_t i) {
      return facts_of(read_shard_sample(some[i], file_), placeholders_);
    });
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (samples_ == std::numeric_limits<std::uint32_t>::max())
        return at_line(cat(" ", samples_, " samples and more than an index can count"), {});
      samples[i].entry.offset = static_cast<std::uint64_t>(some[i].begin());
      samples[i].entry.line = static_cast<std::uint32_t>(samples_ + 1);
      append(samples[i]);
    }
    return {};
  }

  Result<void> add(std::string_view text, std::int64_t offset, const std::vector<SamplePlace>& places) {
    std::vector<Sample> samples = all_facts(places.size(), [&](std::size_t i) {
      return facts_of(read_conversation(text.substr(places[i].offset, places[i].length)), placeholders_);
    });
    for (std::size_t i = 0; i < places.size(); ++i) {
      const SamplePlace& place = places[i];
      if (place.length > kMaxSampleBytes) return too_long(place.line);
      if (place.line > std::numeric_limits<std::uint32_t>::max())
        return at_line(cat(place.line, ": more lines than an index can count"), {});
      samples[i].entry.offset = static_cast<std::uint64_t>(offset) + place.offset;
      samples[i].entry.length = static_cast<std::uint32_t>(place.length);
      samples[i].entry.line = static_cast<std::uint32_t>(place.line);
      append(samples[i]);
    }
    return {};
  }

  void append(const Sample& sample) {
    const std::size_t at = out_.size();
    out_.resize(at + stride_);
    std::memcpy(out_.data() + at, &sample.entry, sizeof sample.entry);
    std::memcpy(out_.data() + at + sizeof sample.entry, sample.counts.data(),
                sample.counts.size() * sizeof(std::uint16_t));
    for (const std::string& key : sample.unread) {
      if (unread_.size() >= kMaxUnread && !unread_.contains(key)) continue;
      Json& note = unread_[key];
      if (note.is_null()) note = {{"samples", 0}, {"first_line", sample.entry.line}};
      note["samples"] = note["samples"].get<std::int64_t>() + 1;
    }
    ++samples_;
  }

  std::string finish() {
    const Json about = {
        {"size", file_.size()}, {"modified", file_.modified()}, {"placeholders", placeholders_},
        {"shard", shard_},      {"unkeyed", unkeyed_},          {"unread", unread_},
        {"parquet", parquet_}};
    out_ += about.dump();
    IndexHead head{kIndexMagic, 0, samples_, stride_};
    std::memcpy(out_.data(), &head, sizeof head);
    constexpr std::size_t hashed = offsetof(IndexHead, samples);
    head.hash = index_hash(std::string_view(out_).substr(hashed));
    std::memcpy(out_.data(), &head, sizeof head);
    return std::move(out_);
  }

  tl::unexpected<Error> at_line(const std::string& problem, const std::string& help) const {
    return fail(ExitCode::bad_data, cat(file_.path().string(), ":", problem), help);
  }
  tl::unexpected<Error> too_long(std::int64_t line) const {
    return at_line(cat(line, ": a sample of more than ", human_bytes(static_cast<double>(kMaxSampleBytes)),
                       ", the most that is read"),
                   "a .jsonl file has one sample a line; a .json file is a list of samples");
  }

  const DataFile& file_;
  const std::vector<std::string>& placeholders_;
  telemetry::Progress progress_;
  SampleSplitter splitter_;
  std::size_t stride_ = 0;
  std::uint64_t samples_ = 0;
  bool shard_ = false, parquet_ = false;
  std::int64_t unkeyed_ = 0;
  std::string out_;
  std::map<std::string, Json> unread_;
};

}  // namespace

Result<std::string> make_index(const DataFile& file, const std::vector<std::string>& placeholders) {
  return Maker(file, placeholders).make();
}

}  // namespace cornstarch::dataio
