#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <utility>

#include "cornstarch/catalog/model_spec.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/models/tokens.h"
#include "cornstarch/nn/fp8.h"
#include "cornstarch/nn/layers.h"
#include "parameters.h"

namespace cornstarch::models {

/// Samples and tokens of each, of hidden states whose rows are dealt to the ranks of tp.
struct TokenShape {
  std::int64_t b = 0, t = 0;
};

/// A module of a stage that takes hidden states and gives hidden states, the same on every tp rank; or, if it
/// takes a share, this rank's share of their rows [b x t, hidden].
class Layer {
 public:
  virtual ~Layer() = default;
  virtual bool takes_share() const { return false; }
  /// `shape` is that of shares only.
  virtual at::Tensor forward(const at::Tensor& x, TokenShape shape, const Tokens& tokens) const = 0;
};
using LayerPtr = std::unique_ptr<Layer>;

/// What layers of one stage share.
struct LayerContext {
  const ParameterSet& parameters;
  comm::GroupPtr tp;
  bool shares_rows;  ///< between the products of blocks, each rank of tp holds its share of the rows
  config::Checkpointing checkpointing;
  std::uint64_t seed;
  std::map<std::pair<catalog::RopeSpec, std::int64_t>, std::shared_ptr<nn::Rope>> ropes;  // by head_dim, too
  std::shared_ptr<nn::Fp8Scales> fp8 = nullptr;  // where the products of blocks round
  std::size_t blocks = 0;                        // made so far

  /// One table for all layers with the same rotary embedding.
  std::shared_ptr<nn::Rope> rope(const catalog::RopeSpec& spec, std::int64_t head_dim);
};

/// Zeros in front of a sequence and behind it.
struct Padding {
  std::int64_t front = 0;
  std::int64_t back = 0;
};

LayerPtr make_block(LayerContext& context, const catalog::BlockSpec& spec);
LayerPtr make_norm(const LayerContext& context, const catalog::NormSpec& spec);
/// `tokens`: those of an item that this rank holds, a class token being the first.
LayerPtr make_patch_embedding(const LayerContext& context, const catalog::PatchEmbedding& spec, Range tokens);
LayerPtr make_patch_rows(const LayerContext& context, const catalog::PatchRows& spec);
/// `after_split`: its input is the preceding convolution's, in the same stage, and so holds this rank's
/// channels only; `before_split`: such a convolution follows, and its output may stay so. `padding`: zeros in
/// front of the frames that it is given and behind them.
LayerPtr make_conv1d(const LayerContext& context, const catalog::Conv1d& spec, bool after_split,
                     bool before_split, Padding padding);
/// `tokens`: those of an item that this rank holds.
LayerPtr make_positions(const LayerContext& context, const catalog::AddPositions& spec, Range tokens);
LayerPtr make_avg_pool(const catalog::AvgPool& spec);
LayerPtr make_projector(const LayerContext& context, const catalog::Projector& spec);
LayerPtr make_merger(const LayerContext& context, const catalog::Merger& spec);

}  // namespace cornstarch::models
