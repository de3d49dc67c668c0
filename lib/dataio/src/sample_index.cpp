#include "sample_index.h"

#include <algorithm>
#include <cstdlib>

#include "conversation.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "index_format.h"
#include "json_text.h"
#include "parquet.h"

namespace cornstarch::dataio {
namespace {

namespace fs = std::filesystem;

/// Smaller files are read anew each time: that takes no longer than a few hundred milliseconds.
constexpr std::int64_t kKeptFrom = std::int64_t{4} << 20;

/// Counted in every file, so that one index serves most configs, and marks that no encoder takes are seen.
const std::vector<std::string> kCommon = {"<image>", "<audio>", "<video>", "<vision>", "<sound>", "<speech>"};

/// `wanted` and those of the common ones that share no text with them.
std::vector<std::string> counted(const std::vector<std::string>& wanted) {
  std::vector<std::string> out = wanted;
  for (const std::string& common : kCommon) {
    if (std::none_of(wanted.begin(), wanted.end(), [&](const std::string& own) {
          return own.find(common) != std::string::npos || common.find(own) != std::string::npos;
        }))
      out.push_back(common);
  }
  out.insert(out.end(), kPartMarks.begin(), kPartMarks.end());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

fs::path beside(const fs::path& file) {
  return fs::path(file).replace_filename(cat(".", file.filename().string(), ".index"));
}

/// In the user's cache folder, by the file's whole name; "" where there is none.
fs::path in_cache(const fs::path& file) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  fs::path folder;
  if (cache != nullptr && *cache == '/') {
    folder = cache;
  } else if (home != nullptr && *home == '/') {
    folder = fs::path(home) / ".cache";
  } else {
    return {};
  }
  std::error_code ignored;
  const fs::path whole = fs::weakly_canonical(file, ignored);
  std::ostringstream name;
  name << file.filename().string() << "-" << std::hex << index_hash(whole.string()) << ".index";
  return folder / "cornstarch" / name.str();
}

void keep(const DataFile& file, const std::string& bytes) {
  if (write_file_atomically(beside(file.path()), bytes)) return;
  const fs::path cache = in_cache(file.path());
  std::error_code ignored;
  if (!cache.empty()) fs::create_directories(cache.parent_path(), ignored);
  if (!cache.empty() && write_file_atomically(cache, bytes)) return;
  log::info(cat("the index of '", file.path().string(),
                "' cannot be kept, neither beside it nor in the cache "
                "folder: each start reads the whole file"));
}

}  // namespace

Result<SampleIndex> SampleIndex::parse(std::string_view bytes, const DataFile& file) {
  const auto stale = [] { return fail(ExitCode::bad_data, "an index of something else"); };
  IndexHead head{};
  if (bytes.size() < sizeof head) return stale();
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.magic != kIndexMagic || head.hash != index_hash(bytes.substr(offsetof(IndexHead, samples))))
    return stale();
  const std::size_t room = bytes.size() - sizeof head;
  if (head.stride < sizeof(Entry) || head.samples > room / head.stride) return stale();
  const auto about = parse_json(bytes.substr(sizeof head + head.samples * head.stride));
  if (!about) return tl::unexpected(about.error());
  SampleIndex index;
  index.records_ = bytes.data() + sizeof head;
  index.size_ = static_cast<std::int64_t>(head.samples);
  index.stride_ = static_cast<std::size_t>(head.stride);
  try {
    if (about->at("size") != file.size() || about->at("modified") != file.modified()) return stale();
    index.placeholders_ = about->at("placeholders").get<std::vector<std::string>>();
    index.shard_ = about->at("shard").get<bool>();
    index.parquet_ = about->at("parquet").get<bool>();
    if (index.parquet_ && !reads_parquet()) return stale();
    index.unkeyed_ = about->at("unkeyed").get<std::int64_t>();
    for (const auto& [key, note] : about->at("unread").items())
      index.unread_.push_back({key, note.at("samples"), note.at("first_line")});
  } catch (const Json::exception&) {
    return stale();
  }
  if (index.stride_ != index_stride(sizeof(Entry), index.placeholders_.size())) return stale();
  for (std::int64_t i = 0; i < index.size_; ++i) {
    const Entry& entry = index[i];
    const auto size = static_cast<std::uint64_t>(file.size());
    if (index.parquet_) continue;  // who reads a row knows whether there is one
    if (entry.length > kMaxSampleBytes || entry.offset > size || entry.length > size - entry.offset)
      return stale();
  }
  return index;
}

std::optional<SampleIndex> SampleIndex::load(const fs::path& path, const DataFile& file,
                                             const std::vector<std::string>& placeholders) {
  if (path.empty()) return std::nullopt;
  auto mapped = MappedFile::open(path);
  if (!mapped) return std::nullopt;
  auto index = parse(mapped->text(), file);
  if (!index || index->placeholders_ != placeholders) return std::nullopt;
  index->mapped_ = std::make_unique<MappedFile>(std::move(*mapped));
  return std::move(*index);
}

std::optional<SampleIndex> SampleIndex::find(const DataFile& file,
                                             const std::vector<std::string>& placeholders) {
  auto index = load(beside(file.path()), file, placeholders);
  return index ? std::move(index) : load(in_cache(file.path()), file, placeholders);
}

Result<SampleIndex> SampleIndex::open(const DataFile& file, const std::vector<std::string>& placeholders) {
  const std::vector<std::string> all = counted(placeholders);
  const bool kept = file.size() >= kKeptFrom;
  if (kept)
    if (auto index = find(file, all)) return std::move(*index);
  const DataFile::Lock lock(file);
  if (kept)
    if (auto index = find(file, all)) return std::move(*index);
  auto bytes = make_index(file, all);
  if (!bytes) return tl::unexpected(bytes.error());
  if (kept) {
    keep(file, *bytes);
    if (auto index = find(file, all)) return std::move(*index);
  }
  auto made = std::make_unique<std::string>(std::move(*bytes));
  auto index = parse(*made, file);
  if (index) index->made_ = std::move(made);
  return index;
}

const char* SampleIndex::record(std::int64_t sample) const {
  return records_ + static_cast<std::size_t>(sample) * stride_;
}

const SampleIndex::Entry& SampleIndex::operator[](std::int64_t sample) const {
  return *reinterpret_cast<const Entry*>(record(sample));
}

std::int64_t SampleIndex::on_line(std::int64_t line) const {
  std::int64_t from = 0, to = std::max<std::int64_t>(size_ - 1, 0);
  while (from < to) {
    const std::int64_t middle = from + (to - from) / 2;
    if ((*this)[middle].line < line) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

std::span<const std::uint16_t> SampleIndex::counts(std::int64_t sample) const {
  return {reinterpret_cast<const std::uint16_t*>(record(sample) + sizeof(Entry)), placeholders_.size()};
}

}  // namespace cornstarch::dataio
