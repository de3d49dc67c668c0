#include "manifest.h"

#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "hash.h"
#include "part.h"

namespace cornstarch::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr std::size_t kMaxManifest = std::size_t{64} << 20;
constexpr std::size_t kMostLevels = 64;
constexpr std::string_view kHashKey = ",\n \"hash\": \"";
constexpr std::string_view kEnd = "\"\n}\n";
constexpr std::size_t kDigits = 32;

Json json_of(const Reference& reference) {
  Json files = Json::array();
  for (const Reference::File& f : reference.files)
    files.push_back({{"name", f.name}, {"bytes", f.bytes}, {"modified_ns", f.modified_ns}, {"hash", f.hash}});
  return {{"modality", reference.modality}, {"folder", reference.folder}, {"files", std::move(files)}};
}

Reference reference_from(const Json& json) {
  Reference reference{json.at("modality").get<std::string>(), json.at("folder").get<std::string>(), {}};
  for (const Json& f : json.at("files"))
    reference.files.push_back({f.at("name").get<std::string>(), f.at("bytes").get<std::int64_t>(),
                               f.at("modified_ns").get<std::int64_t>(), f.at("hash").get<std::string>()});
  return reference;
}

Manifest manifest_from(const Json& json) {
  Manifest manifest;
  manifest.step = json.at("step").get<std::int64_t>();
  manifest.samples = json.at("samples").get<std::int64_t>();
  manifest.world_size = json.at("world_size").get<int>();
  manifest.trainer = json.at("trainer").get<std::string>();
  manifest.config = json.at("config").get<std::string>();
  manifest.counters = json.at("counters").get<std::map<std::string, std::string>>();
  for (const Json& reference : json.at("references"))
    manifest.references.push_back(reference_from(reference));
  for (const Json& part : json.at("parts"))
    manifest.parts.push_back({part.at("name").get<std::string>(), part.at("bytes").get<std::int64_t>(),
                              part.at("index_hash").get<std::string>()});
  return manifest;
}

/// Whether the text ends in the hash of what stands before it.
bool is_whole(const std::string& text) {
  const std::size_t tail = kHashKey.size() + kDigits + kEnd.size();
  if (text.size() < tail) return false;
  const std::size_t body = text.size() - tail;
  return text.compare(body, kHashKey.size(), kHashKey) == 0 && text.ends_with(kEnd) &&
         text.compare(body + kHashKey.size(), kDigits, hash_of(std::string_view(text).substr(0, body))) == 0;
}

Result<void> check_parts(const fs::path& folder, const Manifest& manifest) {
  if (std::ssize(manifest.parts) != manifest.world_size)
    return fail(ExitCode::bad_data, cat("'", (folder / kManifest).string(), "' names ", manifest.parts.size(),
                                        " parts of ", manifest.world_size, " ranks"));
  for (const Part& part : manifest.parts) {
    const std::string name = part_name(static_cast<int>(&part - manifest.parts.data()));
    if (part.name != name)  // nor does a path lead out of the folder
      return fail(ExitCode::bad_data,
                  cat("'", (folder / kManifest).string(), "' names another part than ", name));
    const fs::path path = data_file(folder, part.name);
    std::error_code error;
    const auto size = fs::file_size(path, error);
    if (error) return fail(ExitCode::bad_data, cat("'", path.string(), "' is missing: ", error.message()));
    if (size != static_cast<std::uintmax_t>(part.bytes))
      return fail(ExitCode::bad_data,
                  cat("'", path.string(), "' has ", size, " bytes instead of ", part.bytes));
  }
  return {};
}

}  // namespace

std::string to_text(const Manifest& manifest) {
  Json json = {{"format", kFormat},
               {"trainer", manifest.trainer},
               {"step", manifest.step},
               {"samples", manifest.samples},
               {"world_size", manifest.world_size},
               {"counters", manifest.counters},
               {"references", Json::array()},
               {"parts", Json::array()},
               {"config", manifest.config}};
  for (const Reference& reference : manifest.references) json["references"].push_back(json_of(reference));
  for (const Part& part : manifest.parts)
    json["parts"].push_back({{"name", part.name}, {"bytes", part.bytes}, {"index_hash", part.index_hash}});
  std::string text = json.dump(1);
  text.resize(text.size() - std::string_view("\n}").size());
  const std::string hash = hash_of(text);
  return cat(text, kHashKey, hash, kEnd);
}

Result<Manifest> read_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifest;
  const auto text = read_file(path, kMaxManifest);
  if (!text && text.error().code == ExitCode::missing_input)
    return fail(ExitCode::bad_data, cat("'", folder.string(), "' has no ", kManifest));
  if (!text) return tl::unexpected(text.error());
  const auto bad = [&](const std::string& why) {
    return fail(ExitCode::bad_data, cat("'", path.string(), "' ", why));
  };
  if (!is_whole(*text)) return bad("is not what was written: its hash differs");
  try {
    const Json json = nests_deeper(*text, kMostLevels) ? Json() : Json::parse(*text);
    if (const int format = json.at("format").get<int>(); format != kFormat)
      return bad(cat("is of format ", format, ", this program reads ", kFormat));
    Manifest manifest = manifest_from(json);
    if (const auto ok = check_parts(folder, manifest); !ok) return tl::unexpected(ok.error());
    return manifest;
  } catch (const std::exception&) {
    return bad("is no manifest of a checkpoint");
  }
}

}  // namespace cornstarch::checkpoint
