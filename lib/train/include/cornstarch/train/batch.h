#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/sampler.h"
#include "cornstarch/pipeline/executor.h"
#include "cornstarch/plan/activity.h"
#include "cornstarch/plan/plan.h"

namespace cornstarch::train {

/// Which parts of a sample a rank's stages need.
struct Needs {
  bool text = false;        ///< the LLM's first or last stage, and whoever has to know where its tokens are
  std::vector<bool> media;  ///< per encoder: its first stage
};
Needs needs_of(const plan::Plan& plan, const catalog::Modalities& modalities, int rank);

/// What one rank reads of a global batch, on background threads and without tensors.
struct RankBatch {
  dataio::GlobalBatch global;
  Range block;                                 ///< of the global batch: the samples of this replica,
  std::vector<Range> microbatches;             ///< and of the block: those of each microbatch
  std::vector<dataio::SampleInfo> infos;       ///< of the whole global batch
  std::vector<double> bad;                     ///< the same: 1 where this rank could not read its part
  std::vector<std::string> problems;           ///< one line for each of those
  std::vector<dataio::SampleExtents> extents;  ///< of this replica's block; empty where a sample is bad
  std::vector<dataio::TextRow> rows;           ///< the same, if needed
  std::vector<pipeline::PlacedTokens> placed;  ///< of its microbatches; as plan::text_layout without `rows`
  std::vector<std::vector<std::vector<dataio::MediaItem>>> media;  ///< [encoder][sample of the block]
  bool leaves_out_empty = false;  ///< microbatches without a sample are not computed; forward only
};

/// Reads the part of `global` that `rank` needs, on so many threads; what cannot be
/// read is marked bad. How many threads makes no difference but in time.
RankBatch read_batch(const dataio::Dataset& dataset, dataio::GlobalBatch global, const plan::Plan& plan,
                     const catalog::Modalities& modalities, const Needs& needs, int rank, int workers);

/// Makes `placed` of a batch whose rows have changed.
void place_rows(RankBatch& batch, const plan::Plan& plan, const catalog::Modalities& modalities, int workers);

/// The rows of a replica, of those of all in a step.
Range block_of(const plan::Plan& plan, int dp);

/// A batch as the executor takes it. A sample that any rank found bad counts as an empty row everywhere.
struct Step {
  plan::Activity activity;
  plan::Activity anyone;      ///< the same, of all replicas together
  std::vector<bool> reached;  ///< per modality: whether any sample of the global batch reaches it
  pipeline::StepInputs inputs;
  std::int64_t tokens = 0;     ///< of this replica, padding excluded; zero on ranks without text
  double token_pairs = 0;      ///< the sum over those samples of their tokens squared
  double visible_pairs = 0;    ///< as plan::StepCounts has it, and
  double items = 0;            ///< this too: of this replica
  std::int64_t skipped = 0;    ///< bad samples of the global batch
  std::int64_t cut = 0;        ///< recordings of this replica that are longer than their encoder takes; each
                               ///< is counted on one rank
  std::int64_t cut_texts = 0;  ///< samples of this replica that were longer than a row; zero without text
};

/// `bad`: over all ranks, per sample of the global batch.
Step assemble(RankBatch batch, const std::vector<double>& bad, const plan::Plan& plan,
              const catalog::Modalities& modalities, int rank, std::int64_t pad_id, at::ScalarType dtype);

/// To where the stages compute: through pinned memory, so that the host does not wait for a GPU.
void move_inputs(pipeline::StepInputs& inputs, at::Device device);

}  // namespace cornstarch::train
