#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cornstarch/formats/safetensors.h"
#include "input.h"

namespace {

namespace fs = std::filesystem;
using namespace cornstarch;

/// A folder with one file of weights, beside which the index is written.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "cornstarch-fuzz-XXXXXX").string();
    path = ::mkdtemp(name.data());
    const float value = 1;
    fuzz::require(
        formats::write_safetensors(path / "a.safetensors",
                                   {{"a", formats::DType::f32, {1}, std::as_bytes(std::span(&value, 1))}})
            .has_value());
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

}  // namespace

/// Any index names tensors of files beside it, or is refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  std::ofstream(folder.path / "model.safetensors.index.json", std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  const auto weights = formats::WeightsFolder::open(folder.path);
  if (!weights) return 0;
  for (const std::string& name : weights->names()) fuzz::require(name == "a" && weights->find(name).entry);
  return 0;
}
