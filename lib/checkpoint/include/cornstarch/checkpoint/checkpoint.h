#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/formats/safetensors.h"
#include "cornstarch/plan/shard_range.h"

/// A run's state on disk, whatever the layout that wrote it or reads it.
///
///     <dir>/step-00000120/manifest.json            what the state is of, and every part with its hash
///                         rank-00000.safetensors   one rank's pieces of the state
///                         rank-00000.json          which elements of which global tensors they are, hashes
///
/// A checkpoint is written as step-00000120.partial, synced, and renamed when every part and the manifest are
/// there: what bears the name is whole. There is no file that says which is the newest.
namespace cornstarch::checkpoint {

/// Consecutive elements of one rank's shard of a global tensor, which is named as
/// "parameter/llm/model.norm.weight".
struct Piece {
  std::string name;
  formats::DType dtype = formats::DType::f32;
  plan::ShardRange where;
};

struct PieceToWrite {
  Piece piece;
  std::span<const std::byte> bytes;
};

/// Weights that the state needs and that are elsewhere: a pretrained folder of which nothing trains.
struct Reference {
  struct File {
    std::string name;
    std::int64_t bytes = 0;
    std::int64_t modified_ns = 0;  ///< where it is the same, the content is believed to be
    std::string hash;
  };
  std::string modality;
  std::string folder;
  std::vector<File> files;
};

/// What one rank wrote.
struct Part {
  std::string name;  ///< "rank-00003": of its two files, without what they end in
  std::int64_t bytes = 0;
  std::string index_hash;
};

struct Manifest {
  std::int64_t step = 0;     ///< optimizer steps that the state has behind it
  std::int64_t samples = 0;  ///< and samples, from the run's first
  int world_size = 1;
  std::string trainer;                          ///< version of the program that wrote it
  std::string config;                           ///< resolved, as YAML
  std::map<std::string, std::string> counters;  ///< whatever else the trainer wants back
  std::vector<Reference> references;
  std::vector<Part> parts;  ///< made by commit()
};

/// Where a step's state is written, and where it is once it is whole.
std::filesystem::path partial_folder(const std::filesystem::path& dir, std::int64_t step);
std::filesystem::path whole_folder(const std::filesystem::path& dir, std::int64_t step);

/// Whether what is under way is no longer wanted: asked every few MB, by any thread. None: it always is.
using GivesUp = std::function<bool()>;

/// Writes one rank's pieces into the partial folder, makes it if need be, and reads them again to compare, on
/// so many threads. Everything is synced. Errors: io, naming the file.
Result<void> write_part(const std::filesystem::path& partial, int rank,
                        const std::vector<PieceToWrite>& pieces, int threads = 1,
                        const GivesUp& gives_up = {});

/// Makes the partial folder of manifest.step whole once every rank has written its part: checks that the
/// parts make up every tensor, writes the manifest, renames. One process does so. An older whole folder of
/// the same step gives way.
Result<std::filesystem::path> commit(const std::filesystem::path& dir, Manifest manifest);

/// Removes what was begun and not made whole: of one step, or of all of them.
void abandon(const std::filesystem::path& dir, std::int64_t step);
void abandon_all(const std::filesystem::path& dir);

/// A run goes on from `step`: what is newer was not whole, or could not be read. It is renamed to
/// step-<n>.rejected, where a person may look at it, and counts no longer.
void set_aside_newer(const std::filesystem::path& dir, std::int64_t step);

/// Removes whole checkpoints but the newest `keep` (at least one) and those whose step is a multiple of
/// `keep_every` (0: of none).
Result<void> prune(const std::filesystem::path& dir, int keep, std::int64_t keep_every);

/// A folder that has a checkpoint's name, and what its manifest says, or why it is none.
struct Listed {
  std::filesystem::path path;
  std::int64_t step = 0;
  Result<Manifest> manifest;
};

/// All of them, the newest first, with what a look at manifests and sizes tells; hashes of parts are not
/// computed. Nothing where there is no such folder.
std::vector<Listed> list(const std::filesystem::path& dir);

/// The hash by which a file of a reference is known again.
Result<Reference::File> hash_file(const std::filesystem::path& path, const GivesUp& gives_up = {});

/// That the files of a reference are in `folder` as they were: of the same size and time, or else of the same
/// hash. Errors (bad_data) name the file.
Result<void> check_reference(const Reference& reference, const std::filesystem::path& folder);

/// A whole checkpoint, open for reading. Whatever is read is hashed, once, and compared; errors (bad_data)
/// name the file and the tensor.
class Checkpoint {
 public:
  static Result<Checkpoint> open(const std::filesystem::path& path);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::filesystem::path& path() const;
  const Manifest& manifest() const;

  struct Tensor {
    formats::DType dtype = formats::DType::f32;
    std::vector<std::int64_t> shape;  ///< global
  };
  /// Every global tensor by its name.
  const std::map<std::string, Tensor>& tensors() const;

  /// Those elements of a tensor, as they are stored, into `out`, which is as large as they are.
  Result<void> read(const std::string& name, const plan::ShardRange& wanted, std::span<std::byte> out);

  /// Hashes every byte of every part. All that is wrong, in one line each.
  std::vector<std::string> verify();

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::checkpoint
