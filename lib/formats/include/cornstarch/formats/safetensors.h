#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::formats {

enum class DType { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };
std::int64_t size_of(DType dtype);
std::string name_of(DType dtype);  ///< "F32"

struct TensorEntry {
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape = {};
  std::uint64_t begin = 0;  ///< bytes from the start of the data section
  std::uint64_t end = 0;
};

/// A safetensors file, memory-mapped. Everything the format promises is checked on opening: header size,
/// unique keys, known dtypes, shape x size = bytes (overflow-safe), offsets contiguous and covering the file
/// exactly. Errors name the file and the tensor, the numbers, and a likely cause ("an incomplete download?").
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  const std::map<std::string, TensorEntry>& tensors() const;
  std::span<const std::byte> bytes(const TensorEntry& entry) const;

 private:
  struct Mapping;
  explicit SafetensorsFile(std::unique_ptr<Mapping> mapping);
  std::unique_ptr<Mapping> mapping_;
};

/// The weights of an HF folder: model.safetensors, or every file that model.safetensors.index.json names
/// (inside the folder only). `stem` other than "model" reads <stem>.safetensors. Pickled weights
/// (pytorch_model.bin) are refused with advice.
class WeightsFolder {
 public:
  static Result<WeightsFolder> open(const std::filesystem::path& folder, const std::string& stem = "model");
  struct Located {
    const SafetensorsFile* file = nullptr;
    const TensorEntry* entry = nullptr;
    bool transposed = false;  ///< a matrix whose columns the file has as rows
  };
  /// Nothing if there is no such tensor.
  Located find(const std::string& name) const;
  std::vector<std::string> names() const;

  struct File {
    std::string name;
    const SafetensorsFile* content = nullptr;
  };
  /// Those that it is made of.
  std::vector<File> files() const;

  /// What another reader calls a tensor of the folder.
  struct Renamed {
    std::string name;
    bool transposed = false;
  };
  /// Calls tensors so from now on; those that get no name are not there any more.
  void rename(const std::function<std::optional<Renamed>(const std::string&)>& names);

 private:
  static Result<WeightsFolder> open_sharded(const std::filesystem::path& index);
  Result<const SafetensorsFile*> add(const std::filesystem::path& path);

  std::vector<std::string> file_names_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Located> index_;
};

struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape = {};
  std::span<const std::byte> bytes;
};

/// What a file of these tensors begins with, and where the bytes of each of them are in it, in the order HF
/// writes them (by name), with metadata {"format": "pt"}.
struct SafetensorsLayout {
  std::string head;
  std::vector<std::uint64_t> places;
};
Result<SafetensorsLayout> lay_out_safetensors(const std::vector<TensorToWrite>& tensors);

/// Writes them atomically.
Result<void> write_safetensors(const std::filesystem::path& path, const std::vector<TensorToWrite>& tensors);

}  // namespace cornstarch::formats
