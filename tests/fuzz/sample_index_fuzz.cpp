#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "index_format.h"
#include "input.h"
#include "sample_index.h"

namespace {

namespace fs = std::filesystem;
using namespace cornstarch;
using namespace cornstarch::dataio;

/// A data set, beside which its index is written.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "cornstarch-fuzz-XXXXXX").string();
    path = ::mkdtemp(name.data());
    std::ofstream(path / "a.jsonl")
        << R"({"conversations": [{"from": "human", "value": "<image> x"}], "image": "a"})"
        << "\n{}\n";
    fs::last_write_time(path / "a.jsonl", {});
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

}  // namespace

/// An index comes with the data, and may say anything: what it says of samples lies in the file. Its hash is
/// made right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  static const DataFile file = value_or_throw(DataFile::open(folder.path / "a.jsonl"));
  fuzz::Input input(data, size);
  std::string bytes = input.yes() ? value_or_throw(make_index(file, {"<image>"})) : std::string(input.rest());
  if (input.yes()) {
    // The right one, with some bytes changed.
    while (!input.empty() && !bytes.empty()) {
      const std::size_t at = (input.byte() * std::size_t{256} + input.byte()) % bytes.size();
      bytes[at] = static_cast<char>(input.byte());
    }
  }
  IndexHead head{};
  if (bytes.size() >= sizeof head) {
    std::memcpy(&head, bytes.data(), sizeof head);
    head.magic = kIndexMagic;
    head.hash = index_hash(std::string_view(bytes).substr(offsetof(IndexHead, samples)));
    std::memcpy(bytes.data(), &head, sizeof head);
  }
  const auto index = SampleIndex::parse(bytes, file);
  if (!index) return 0;
  for (std::int64_t i = 0; i < index->size(); ++i) {
    const SampleIndex::Entry& entry = (*index)[i];
    if (index->is_parquet()) continue;  // of which who reads the table knows whether it has such a row
    fuzz::require(entry.offset + entry.length <= static_cast<std::uint64_t>(file.size()));
    fuzz::require(index->counts(i).size() == index->placeholders().size());
    std::size_t items = 0;
    for (const std::uint16_t n : index->counts(i)) items += n;  // they are there
    fuzz::require(items <= 65535 * index->placeholders().size());
    (void)file.text(static_cast<std::int64_t>(entry.offset), entry.length);
  }
  return 0;
}
