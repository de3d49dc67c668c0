#include "part.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cornstarch/base/files.h"
#include "cornstarch/base/new_file.h"
#include "cornstarch/base/parallel.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "hash.h"

namespace cornstarch::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxIndex = std::size_t{256} << 20;
constexpr std::size_t kMostLevels = 64;

Json json_of(const Range& range) { return Json::array({range.begin, range.end}); }

Json json_of(const StoredPiece& stored) {
  const plan::ShardRange& where = stored.piece.where;
  return {{"name", stored.piece.name},   {"dtype", formats::name_of(stored.piece.dtype)},
          {"shape", where.shape},        {"dim", where.dim},
          {"part", json_of(where.part)}, {"elements", json_of(where.elements)},
          {"hash", stored.hash}};
}

Range range_from(const Json& json) {
  return {json.at(0).get<std::int64_t>(), json.at(1).get<std::int64_t>()};
}

std::optional<formats::DType> dtype_from(const std::string& name) {
  using formats::DType;
  for (const DType dtype : {DType::f64, DType::f32, DType::f16, DType::bf16, DType::i64, DType::i32,
                            DType::i16, DType::i8, DType::u8, DType::boolean})
    if (formats::name_of(dtype) == name) return dtype;
  return std::nullopt;
}

/// Whether the range lies in its shard, and the shard in its tensor.
bool holds_together(const plan::ShardRange& where) {
  if (!checked_numel(where.shape)) return false;
  if (where.dim >= std::ssize(where.shape)) return false;
  if (where.dim >= 0) {
    const std::int64_t extent = where.shape[static_cast<std::size_t>(where.dim)];
    if (where.part.begin < 0 || where.part.begin > where.part.end || where.part.end > extent) return false;
  }
  const auto elements = checked_numel(plan::shard_shape(where));
  return elements && where.elements.begin >= 0 && where.elements.begin <= where.elements.end &&
         where.elements.end <= *elements;
}

StoredPiece piece_from(const Json& json) {
  StoredPiece stored;
  stored.piece.name = json.at("name").get<std::string>();
  const auto dtype = dtype_from(json.at("dtype").get<std::string>());
  stored.piece.where.shape = json.at("shape").get<std::vector<std::int64_t>>();
  stored.piece.where.dim = json.at("dim").get<int>();
  stored.piece.where.part = range_from(json.at("part"));
  stored.piece.where.elements = range_from(json.at("elements"));
  stored.hash = json.at("hash").get<std::string>();
  if (!dtype || !holds_together(stored.piece.where)) throw Failure(ExitCode::bad_data, "");
  stored.piece.dtype = *dtype;
  return stored;
}

std::vector<std::int64_t> shape_on_disk(const plan::ShardRange& where) {
  const auto shard = plan::shard_shape(where);
  const bool all = where.elements.size() == checked_numel(shard);
  return all ? shard : std::vector<std::int64_t>{where.elements.size()};
}

/// What stands before the data of a safetensors file: the length, and as many bytes of JSON.
Result<std::string> read_header(const fs::path& path, const formats::SafetensorsFile& file) {
  std::uint64_t data = 0;
  for (const auto& [_, entry] : file.tensors()) data = std::max(data, entry.end);
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return fail(ExitCode::io, cat("cannot read '", path.string(), "': ", error.message()));
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(path.c_str(), "rb"), &std::fclose);
  std::string text(size - data, '\0');
  if (!in || std::fread(text.data(), 1, text.size(), in.get()) != text.size())
    return fail(ExitCode::io, cat("cannot read '", path.string(), "'"));
  return text;
}

}  // namespace

std::string part_name(int rank) {
  std::string digits = std::to_string(rank);
  return cat("rank-", std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0'), digits);
}

fs::path data_file(const fs::path& folder, const std::string& part) {
  return folder / (part + ".safetensors");
}
fs::path index_file(const fs::path& folder, const std::string& part) { return folder / (part + ".json"); }

Result<std::string> index_text(const fs::path& path) { return read_file(path, kMaxIndex); }

Result<PartIndex> read_index(const fs::path& path, const std::string& hash) {
  const auto text = index_text(path);
  if (!text) return tl::unexpected(text.error());
  const auto bad = [&](const char* why) {
    return fail(ExitCode::bad_data, cat("'", path.string(), "' ", why));
  };
  if (!hash.empty() && hash_of(*text) != hash) return bad("is not what was written: its hash differs");
  try {
    const Json json = nests_deeper(*text, kMostLevels) ? Json() : Json::parse(*text);
    PartIndex index{json.at("header").get<std::string>(), {}};
    for (const Json& piece : json.at("pieces")) index.pieces.push_back(piece_from(piece));
    return index;
  } catch (const std::exception&) {
    return bad("is no index of a checkpoint's part");
  }
}

Result<PartData> open_data(const fs::path& path) {
  auto file = formats::SafetensorsFile::open(path);
  if (!file) return tl::unexpected(file.error());
  auto header = read_header(path, *file);
  if (!header) return tl::unexpected(header.error());
  return PartData{std::move(*file), std::move(*header)};
}

std::string trouble_with(const fs::path& path, const StoredPiece& stored, const PartData& data,
                         const GivesUp& gives_up) {
  const auto found = data.file.tensors().find(stored.piece.name);
  const std::int64_t bytes = stored.piece.where.elements.size() * formats::size_of(stored.piece.dtype);
  if (found == data.file.tensors().end() ||
      found->second.end - found->second.begin != static_cast<std::uint64_t>(bytes))
    return cat("'", path.string(), "' does not hold what its index says of ", stored.piece.name);
  const std::string hash = hash_of(data.file.bytes(found->second), gives_up);
  if (hash == stored.hash) return {};
  if (hash.empty()) return cat("'", path.string(), "' is not checked: given up");
  return cat("'", path.string(), "': tensor ", stored.piece.name,
             " is not what was written: its hash differs");
}

namespace {

/// Into its place, hashed on the way: what is in the cache is read once. Throws Failure.
std::string write_piece(NewFile& file, const fs::path& path, std::uint64_t at,
                        std::span<const std::byte> bytes, const GivesUp& gives_up) {
  Hash hash;
  while (!bytes.empty()) {
    if (gives_up && gives_up())
      throw Failure(ExitCode::io, cat("'", path.string(), "' is not written: given up"));
    const auto some = bytes.first(std::min(bytes.size(), kAtOnce));
    hash.add(some);
    value_or_throw(file.write(at, {reinterpret_cast<const char*>(some.data()), some.size()}));
    at += some.size();
    bytes = bytes.subspan(some.size());
  }
  return hash.text();
}

/// Throws Failure.
std::vector<StoredPiece> write_pieces(const fs::path& path, const std::vector<PieceToWrite>& pieces,
                                      int threads, const GivesUp& gives_up) {
  std::vector<formats::TensorToWrite> tensors;
  for (const PieceToWrite& p : pieces)
    tensors.push_back({p.piece.name, p.piece.dtype, shape_on_disk(p.piece.where), p.bytes});
  const auto layout = value_or_throw(formats::lay_out_safetensors(tensors));
  NewFile file = value_or_throw(NewFile::begin(path));
  value_or_throw(file.write(0, layout.head));
  std::vector<StoredPiece> written(pieces.size());
  parallel_for(pieces.size(), threads, [&](std::size_t i) {
    written[i] = {pieces[i].piece, write_piece(file, path, layout.places[i], pieces[i].bytes, gives_up)};
  });
  value_or_throw(file.finish());
  return written;
}

}  // namespace

Result<void> write_part(const fs::path& partial, int rank, const std::vector<PieceToWrite>& pieces,
                        int threads, const GivesUp& gives_up) {
  std::error_code error;
  fs::create_directories(partial, error);
  if (error) return fail(ExitCode::io, cat("cannot make '", partial.string(), "': ", error.message()));
  const std::string part = part_name(rank);
  const fs::path path = data_file(partial, part);
  try {
    const std::vector<StoredPiece> written = write_pieces(path, pieces, threads, gives_up);
    const PartData data = value_or_throw(open_data(path));
    parallel_for(written.size(), threads, [&](std::size_t i) {
      if (const std::string trouble = trouble_with(path, written[i], data, gives_up); !trouble.empty())
        throw Failure(ExitCode::io, trouble);
    });
    Json index = {{"header", hash_of(data.header)}, {"pieces", Json::array()}};
    for (const StoredPiece& piece : written) index["pieces"].push_back(json_of(piece));
    return write_file_atomically(index_file(partial, part), index.dump(1) + "\n");
  } catch (const Failure& failure) {
    return tl::unexpected(failure.error());
  }
}

}  // namespace cornstarch::checkpoint
