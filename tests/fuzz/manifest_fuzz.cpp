#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "hash.h"
#include "input.h"
#include "manifest.h"
#include "part.h"

namespace {

namespace fs = std::filesystem;
using namespace cornstarch;
using namespace cornstarch::checkpoint;

/// A checkpoint of one rank, whose manifest or index is written anew.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "cornstarch-fuzz-XXXXXX").string();
    dir = ::mkdtemp(name.data());
    const float values[4] = {1, 2, 3, 4};
    const Piece piece{"parameter/llm/a", formats::DType::f32, plan::whole({2, 2})};
    fuzz::require(
        write_part(partial_folder(dir, 3), 0, {{piece, std::as_bytes(std::span(values))}}).has_value());
    Manifest manifest;
    manifest.step = 3;
    path = value_or_throw(commit(dir, manifest));
    manifest_text = text_of(path / kManifest);
    index_text = text_of(path / "rank-00000.json");
  }
  ~Folder() { fs::remove_all(dir); }
  static std::string text_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  fs::path dir, path;
  std::string manifest_text, index_text;
};

/// The text with some bytes changed, or all of it another's.
std::string changed(fuzz::Input& input, std::string text) {
  if (input.yes()) return std::string(input.rest());
  while (!input.empty() && !text.empty()) {
    const std::size_t at = (input.byte() * std::size_t{256} + input.byte()) % text.size();
    text[at] = static_cast<char>(input.byte());
  }
  return text;
}

/// With the hash that it should have.
std::string sealed(const std::string& content, const std::string& like) {
  const std::size_t end = like.rfind('"'), begin = like.rfind('"', end - 1) + 1, seal = like.rfind(",\n");
  return content + like.substr(seal, begin - seal) + hash_of(content) + like.substr(end);
}

}  // namespace

/// Any manifest or index, with its hash right, is of this checkpoint or refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  fuzz::Input input(data, size);
  std::string manifest = folder.manifest_text, index = folder.index_text;
  const std::string old_hash = hash_of(index);
  if (input.yes()) index = changed(input, index);
  std::string content = manifest.substr(0, manifest.rfind(",\n"));
  if (const std::size_t at = content.find(old_hash); at != std::string::npos)
    content.replace(at, old_hash.size(), hash_of(index));
  std::ofstream(folder.path / kManifest, std::ios::binary) << sealed(changed(input, content), manifest);
  std::ofstream(folder.path / "rank-00000.json", std::ios::binary) << index;
  auto opened = Checkpoint::open(folder.path);
  if (!opened) return 0;
  for (const auto& [name, tensor] : opened->tensors()) {
    std::vector<std::byte> out(16);
    (void)opened->read(name, plan::whole({2, 2}), out);
  }
  (void)opened->verify();
  return 0;
}
