#include "cornstarch/formats/safetensors.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "header.h"

namespace cornstarch::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeader = 100'000'000;  // as in Hugging Face's reader

tl::unexpected<Error> system_failure(const fs::path& path) {
  return fail(ExitCode::io, cat("cannot read '", path.string(), "': ", std::strerror(errno)));
}

/// The length of the header, which is the first 8 bytes, little-endian.
Result<std::uint64_t> header_size(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return fail(ExitCode::bad_data, cat("it is no safetensors file: ", file.size(), " bytes long"),
                "is the download complete?");
  }
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) size |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (size > kMaxHeader) {
    return fail(ExitCode::bad_data, cat("its header would have ", size, " bytes, more than ", kMaxHeader),
                "is it a safetensors file? A Git LFS pointer or a pickled file is none");
  }
  if (size > file.size() - kLengthBytes) {
    return fail(ExitCode::bad_data, cat("its header has ", size, " bytes, the file ", file.size()),
                "is the download complete?");
  }
  return size;
}

}  // namespace

struct SafetensorsFile::Mapping {
  explicit Mapping(std::span<const std::byte> bytes) : file(bytes) {}
  ~Mapping() {
    if (!file.empty()) ::munmap(const_cast<std::byte*>(file.data()), file.size());
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  /// The whole file; an empty one is not mapped.
  static Result<std::unique_ptr<Mapping>> of(const fs::path& path) {
    const auto fd = open_file(path);
    if (!fd) return tl::unexpected(fd.error());
    struct stat info{};
    if (::fstat(fd->get(), &info) != 0) return system_failure(path);
    const auto size = static_cast<std::size_t>(info.st_size);
    void* memory = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd->get(), 0) : nullptr;
    if (memory == MAP_FAILED) return system_failure(path);
    return std::make_unique<Mapping>(std::span(static_cast<const std::byte*>(memory), size));
  }

  std::span<const std::byte> file;
  std::span<const std::byte> data;
  std::map<std::string, TensorEntry> tensors;
};

SafetensorsFile::SafetensorsFile(std::unique_ptr<Mapping> mapping) : mapping_(std::move(mapping)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

Result<SafetensorsFile> SafetensorsFile::open(const fs::path& path) {
  auto mapping = Mapping::of(path);
  if (!mapping) return tl::unexpected(mapping.error());
  const auto in_file = [&](Error error) {
    error.message = cat("'", path.string(), "': ", error.message);
    return tl::unexpected(std::move(error));
  };
  const std::span<const std::byte> file = (*mapping)->file;
  const auto size = header_size(file);
  if (!size) return in_file(size.error());
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes, *size);
  (*mapping)->data = file.subspan(kLengthBytes + *size);
  auto tensors = parse_header(header, (*mapping)->data.size());
  if (!tensors) return in_file(tensors.error());
  (*mapping)->tensors = std::move(*tensors);
  return SafetensorsFile(std::move(*mapping));
}

const std::map<std::string, TensorEntry>& SafetensorsFile::tensors() const { return mapping_->tensors; }

std::span<const std::byte> SafetensorsFile::bytes(const TensorEntry& entry) const {
  return mapping_->data.subspan(entry.begin, entry.end - entry.begin);
}

}  // namespace cornstarch::formats
