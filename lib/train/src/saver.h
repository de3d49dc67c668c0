#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/checkpoint/checkpoint.h"
#include "state.h"

namespace cornstarch::train {

struct SaverOptions {
  std::filesystem::path dir;
  int keep = 2;
  std::int64_t keep_every = 0;
  bool fails = false;  ///< what cannot be written ends the run
  int threads = 1;     ///< that write this rank's part
  /// Pretrained folders of which something does not train: modality and folder.
  std::vector<std::pair<std::string, std::string>> references = {};
  /// Asked while a rank waits for what it writes; throws where that is in vain, as another rank has failed.
  std::function<void()> check = {};
  std::function<void()> on_copy = {};  ///< Observer's
};

/// Writes a rank's part of checkpoints while training goes on. All ranks begin one together, tell each other
/// how their parts went, and conclude together; rank 0 makes the whole of the parts.
class Saver {
 public:
  Saver(SaverOptions options, int rank, at::Device device);
  /// What is being written is given up; what rank 0 makes whole is made whole.
  ~Saver();

  /// Begins to copy the state, on a GPU behind what is under way there, and to write the copy. None may be
  /// under way. `waits`: the state stays as it is until the checkpoint is concluded, so that on the host
  /// there is nothing to copy.
  void begin(checkpoint::Manifest manifest, const std::vector<StateTensor>& state, bool waits);
  /// Before the state changes: on the host it is copied beside what is computed from it.
  void finish_copying();
  /// Whether one is under way, on all ranks alike.
  bool busy() const { return busy_; }

  enum class Part { writing, written, failed };
  /// How this rank's part of it goes. What went wrong has been said.
  Part part();
  /// Waits until it is not writing any more.
  Part wait();

  /// Every rank's part is written, or, `whole` false, some rank could not write its own: then all of it goes.
  void conclude(bool whole);
  /// Waits until rank 0 has done what conclude() asked for.
  void settle();
  /// Rank 0, settled: whether there is a whole checkpoint of a step.
  bool is_whole(std::int64_t step) const;

 private:
  void wait_for(const std::future<Result<void>>& work) const;
  void copy();
  Result<void> write();
  Result<void> make_whole();
  void report(const Result<void>& done, const std::string& what) const;

  SaverOptions options_;
  int rank_;
  at::Device device_;
  std::atomic<bool> gives_up_ = false;
  bool busy_ = false;
  checkpoint::Manifest manifest_;
  std::vector<checkpoint::Piece> pieces_;
  std::vector<at::Tensor> copies_;            ///< on the host, for all checkpoints of the run
  std::vector<at::Tensor> values_;            ///< what is written: copies, or the state itself
  std::optional<c10::Event> copied_;          ///< on a GPU
  std::shared_future<Result<void>> copying_;  ///< on the host
  /// Rank 0's. Hashed from the start: who is told to stop has no time for gigabytes that do not change.
  std::shared_future<Result<std::vector<checkpoint::Reference>>> references_;
  std::future<Result<void>> writing_;
  std::optional<Part> ended_;
  std::future<Result<void>> committing_;
};

}  // namespace cornstarch::train
