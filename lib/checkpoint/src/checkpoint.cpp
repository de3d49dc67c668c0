#include "cornstarch/checkpoint/checkpoint.h"

#include <cstring>
#include <optional>
#include <utility>

#include "cornstarch/base/text.h"
#include "hash.h"
#include "manifest.h"
#include "part.h"

namespace cornstarch::checkpoint {

namespace fs = std::filesystem;

struct Checkpoint::Impl {
  /// One rank's, opened when something of it is read.
  struct OpenPart {
    fs::path path;  ///< of its tensors
    PartIndex index;
    std::optional<PartData> data = {};
    std::set<const StoredPiece*> hashed = {};
  };

  fs::path path;
  Manifest manifest;
  std::map<std::string, Tensor> tensors;
  std::vector<OpenPart> parts;
  std::multimap<std::string, std::pair<OpenPart*, const StoredPiece*>> pieces;  // by tensor

  Result<void> open_parts() {
    parts.reserve(manifest.parts.size());
    for (const Part& part : manifest.parts) {
      auto index = read_index(index_file(path, part.name), part.index_hash);
      if (!index) return tl::unexpected(index.error());
      parts.push_back({data_file(path, part.name), std::move(*index)});
    }
    for (OpenPart& part : parts)
      for (const StoredPiece& stored : part.index.pieces) {
        tensors[stored.piece.name] = {stored.piece.dtype, stored.piece.where.shape};
        pieces.emplace(stored.piece.name, std::pair(&part, &stored));
      }
    return {};
  }

  static Result<const PartData*> data_of(OpenPart& part) {
    if (part.data) return &*part.data;
    auto data = open_data(part.path);
    if (!data) return tl::unexpected(data.error());
    if (hash_of(data->header) != part.index.header_hash)
      return fail(ExitCode::bad_data,
                  cat("'", part.path.string(), "': its header is not what was written: its hash differs"));
    part.data = std::move(*data);
    return &*part.data;
  }

  static Result<std::span<const std::byte>> bytes_of(OpenPart& part, const StoredPiece& stored) {
    const auto data = data_of(part);
    if (!data) return tl::unexpected(data.error());
    if (part.hashed.insert(&stored).second) {
      if (const std::string trouble = trouble_with(part.path, stored, **data); !trouble.empty()) {
        part.hashed.erase(&stored);
        return fail(ExitCode::bad_data, trouble);
      }
    }
    return (*data)->file.bytes((*data)->file.tensors().at(stored.piece.name));
  }
};

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Result<Checkpoint> Checkpoint::open(const fs::path& path) {
  auto manifest = read_manifest(path);
  if (!manifest) return tl::unexpected(manifest.error());
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->manifest = std::move(*manifest);
  if (const auto ok = impl->open_parts(); !ok) return tl::unexpected(ok.error());
  return Checkpoint(std::move(impl));
}

const fs::path& Checkpoint::path() const { return impl_->path; }
const Manifest& Checkpoint::manifest() const { return impl_->manifest; }
const std::map<std::string, Checkpoint::Tensor>& Checkpoint::tensors() const { return impl_->tensors; }

Result<void> Checkpoint::read(const std::string& name, const plan::ShardRange& wanted,
                              std::span<std::byte> out) {
  const auto tensor = impl_->tensors.find(name);
  if (tensor == impl_->tensors.end())
    return fail(ExitCode::bad_data, cat("'", impl_->path.string(), "' has no tensor ", name));
  if (tensor->second.shape != wanted.shape)
    return fail(ExitCode::bad_data,
                cat("'", impl_->path.string(), "': tensor ", name, " is of another shape"));
  const auto size = static_cast<std::size_t>(formats::size_of(tensor->second.dtype));
  std::int64_t missing = wanted.elements.size();
  if (out.size() != static_cast<std::size_t>(missing) * size)
    return fail(ExitCode::internal, cat("no room for tensor ", name));
  const auto [first, last] = impl_->pieces.equal_range(name);
  for (auto at = first; at != last; ++at) {
    const auto& [part, stored] = at->second;
    const std::vector<plan::Copy> copies = plan::copies(stored->piece.where, wanted);
    if (copies.empty()) continue;
    const auto bytes = Impl::bytes_of(*part, *stored);
    if (!bytes) return tl::unexpected(bytes.error());
    for (const plan::Copy& copy : copies) {
      std::memcpy(out.data() + static_cast<std::size_t>(copy.to) * size,
                  bytes->data() + static_cast<std::size_t>(copy.from) * size,
                  static_cast<std::size_t>(copy.count) * size);
      missing -= copy.count;
    }
  }
  if (missing == 0) return {};
  return fail(ExitCode::bad_data, cat("'", impl_->path.string(), "' lacks ", missing, " elements of ", name));
}

std::vector<std::string> Checkpoint::verify() {
  std::vector<std::string> out;
  for (Impl::OpenPart& part : impl_->parts) {
    const auto data = Impl::data_of(part);
    if (!data) {
      out.push_back(data.error().message);
      continue;
    }
    for (const StoredPiece& stored : part.index.pieces)
      if (std::string trouble = trouble_with(part.path, stored, **data); !trouble.empty())
        out.push_back(std::move(trouble));
  }
  return out;
}

}  // namespace cornstarch::checkpoint
