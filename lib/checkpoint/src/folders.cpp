#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <functional>
#include <optional>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/checkpoint/checkpoint.h"
#include "hash.h"
#include "manifest.h"
#include "part.h"

namespace cornstarch::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kPartial = ".partial";
constexpr std::string_view kRemoved = ".removed";
constexpr std::string_view kRejected = ".rejected";

std::string name_of(std::int64_t step) {
  const std::string digits = std::to_string(step);
  return cat(kPrefix, std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0'), digits);
}

std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

std::vector<fs::path> folders_in(const fs::path& dir, const std::function<bool(const std::string&)>& wanted) {
  std::vector<fs::path> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(dir, ignored))
    if (wanted(entry.path().filename().string())) out.push_back(entry.path());
  return out;
}

bool is_left_over(const std::string& name) {
  return name.starts_with(kPrefix) && (name.ends_with(kPartial) || name.ends_with(kRemoved));
}

/// Out of the way by one rename, so that what bears a checkpoint's name is always whole; then file by file.
Result<void> discard(const fs::path& path) {
  fs::path aside = path;
  aside += kRemoved;
  std::error_code error;
  fs::remove_all(aside, error);
  fs::rename(path, aside, error);
  if (!error) fs::remove_all(aside, error);
  if (error) return fail(ExitCode::io, cat("cannot remove '", path.string(), "': ", error.message()));
  return {};
}

Result<std::vector<Part>> collect_parts(const fs::path& partial, int world_size) {
  std::vector<Part> parts;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> elements;  // there, and wanted
  for (int rank = 0; rank < world_size; ++rank) {
    const std::string name = part_name(rank);
    const fs::path path = index_file(partial, name);
    const auto text = index_text(path);
    if (!text) return tl::unexpected(text.error());
    const std::string hash = hash_of(*text);
    const auto index = read_index(path, hash);
    if (!index) return tl::unexpected(index.error());
    for (const StoredPiece& stored : index->pieces) {
      auto& [there, wanted] = elements[stored.piece.name];
      there += stored.piece.where.elements.size();
      wanted = checked_numel(stored.piece.where.shape).value_or(-1);
    }
    std::error_code error;
    const auto bytes = fs::file_size(data_file(partial, name), error);
    if (error)
      return fail(ExitCode::io,
                  cat("cannot read '", data_file(partial, name).string(), "': ", error.message()));
    parts.push_back({name, static_cast<std::int64_t>(bytes), hash});
  }
  for (const auto& [name, count] : elements)
    if (count.first != count.second)
      return fail(ExitCode::internal, cat("the parts in '", partial.string(), "' hold ", count.first, " of ",
                                          count.second, " elements of ", name));
  return parts;
}

}  // namespace

fs::path whole_folder(const fs::path& dir, std::int64_t step) { return dir / name_of(step); }

fs::path partial_folder(const fs::path& dir, std::int64_t step) {
  return dir / (name_of(step) + std::string(kPartial));
}

Result<fs::path> commit(const fs::path& dir, Manifest manifest) {
  const fs::path partial = partial_folder(dir, manifest.step);
  fs::path whole = whole_folder(dir, manifest.step);
  auto parts = collect_parts(partial, manifest.world_size);
  if (!parts) return tl::unexpected(parts.error());
  manifest.parts = std::move(*parts);
  if (const auto ok = write_file_atomically(partial / kManifest, to_text(manifest)); !ok)
    return tl::unexpected(ok.error());
  std::error_code error;
  if (fs::exists(whole, error))
    if (const auto ok = discard(whole); !ok) return tl::unexpected(ok.error());
  fs::rename(partial, whole, error);
  if (error) return fail(ExitCode::io, cat("cannot rename '", partial.string(), "': ", error.message()));
  if (!sync_folder(dir))
    return fail(ExitCode::io, cat("cannot sync '", dir.string(), "': ", std::strerror(errno)));
  return whole;
}

void abandon(const fs::path& dir, std::int64_t step) {
  std::error_code ignored;
  fs::remove_all(partial_folder(dir, step), ignored);
}

void abandon_all(const fs::path& dir) {
  std::error_code ignored;
  for (const fs::path& path : folders_in(dir, is_left_over)) fs::remove_all(path, ignored);
}

void set_aside_newer(const fs::path& dir, std::int64_t step) {
  for (const Listed& each : list(dir)) {
    if (each.step <= step) continue;
    fs::path aside = each.path;
    aside += kRejected;
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    fs::rename(each.path, aside, ignored);
  }
}

Result<void> prune(const fs::path& dir, int keep, std::int64_t keep_every) {
  int kept = 0;
  for (const Listed& each : list(dir)) {
    if (each.manifest && kept < std::max(keep, 1)) {
      ++kept;
      continue;
    }
    // What is not whole stays where a person may look at it, until as many newer ones are there.
    if (kept < std::max(keep, 1)) continue;
    if (keep_every > 0 && each.step % keep_every == 0) continue;
    if (const auto ok = discard(each.path); !ok) return ok;
  }
  return {};
}

std::vector<Listed> list(const fs::path& dir) {
  std::vector<Listed> out;
  for (const fs::path& path :
       folders_in(dir, [](const std::string& name) { return step_of(name).has_value(); }))
    out.push_back({path, *step_of(path.filename().string()), read_manifest(path)});
  std::ranges::sort(out, std::ranges::greater(), &Listed::step);
  return out;
}

}  // namespace cornstarch::checkpoint
