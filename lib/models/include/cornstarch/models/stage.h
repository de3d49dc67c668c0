#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "cornstarch/catalog/resolve.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/text.h"
#include "cornstarch/models/tokens.h"
#include "cornstarch/nn/fp8.h"
#include "cornstarch/nn/gradient_sum.h"
#include "cornstarch/plan/plan.h"

/// One rank's shard of one pipeline stage, built from spec and plan. Differentiable through ATen's autograd.
namespace cornstarch::models {

/// A shard of a global parameter: global[offset : offset + size] along split.dim (all of it where dim is -1).
struct Parameter {
  std::string modality;
  const catalog::ParamSpec* spec = nullptr;  ///< name, global shape, split; lives as long as the modality
  int split_dim = -1;
  std::int64_t offset = 0;  ///< along split_dim
  at::Tensor value;         ///< leaf; requires_grad iff it trains; layers share it: change it in place only
  bool trains = false;
  /// Where its gradients add up, for layers and for the store.
  nn::GradientSumPtr sum = std::make_shared<nn::GradientSum>();
  bool partial_over_tp =
      false;           ///< each rank of tp has a part of its gradient, that of the tokens or heads it holds
  bool counts = true;  ///< in sums over tp: false for a replica on tp > 0
  std::string
      tied_to;  ///< full name of the parameter whose value and gradient it shares across stages, or ""

  /// "vision/vision_model.embeddings.class_embedding": unique in the run.
  std::string full_name() const { return modality + "/" + spec->name; }
};

/// Told when modules of a stage are about to compute, by their index into the modality's spec.
class ModuleObserver {
 public:
  virtual ~ModuleObserver() = default;
  virtual void before_forward(int module) = 0;
  virtual void before_backward(int module) = 0;  ///< the gradient of its output is there
};

struct StageOptions {
  at::ScalarType dtype = at::kFloat;
  std::uint64_t seed =
      0;  ///< of the initial values (counter-based, keyed by full name: independent of the layout)
  at::Device device = at::kCPU;   ///< of the parameters, and so of all that the stage computes
  plan::ModalityPlan where = {};  ///< how the modality's blocks run, and its context-parallel size sp
  int cp = 0;                     ///< this rank's place among sp
  bool draws = true;              ///< initial values; else they are undefined until FirstValues fills them
  bool wide_first = false;  ///< what trains has its first values in fp32: a store rounds them to `dtype`
};

/// How kernels get to a GPU: one by one, or as a recording of what was launched before, where that is the
/// same every time (nn/replay.h): layers that talk to no other rank, on whole rows.
enum class Launches { one_by_one, replayed };

class Stage {
 public:
  /// Builds the modules `modules` (ascending indices into modality.spec.modules) of `modality` for rank
  /// tp.rank() of the tensor-parallel group `tp`. Initial values are drawn from seed and name (Init::normal),
  /// or loaded later. A tied lm_head in the same stage as the embedding uses its tensor; in another stage it
  /// is a parameter of its own with tied_to set.
  Stage(const catalog::Modality& modality, const std::vector<int>& modules, comm::GroupPtr tp,
        const StageOptions& options);
  ~Stage();
  Stage(Stage&&) noexcept;

  std::vector<Parameter>& parameters();

  /// The scales of its blocks' products, for whoever builds it to place(); null where these do not round.
  nn::Fp8Scales* fp8() const;

  /// From now on, beside those that do already; it must live as long as the stage computes.
  void observe(ModuleObserver* observer);

  /// An encoder's stage: media [n, ...item_shape] in the first one, hidden states elsewhere; the last one
  /// returns features [rows, llm hidden] (feature_select applied, then the projector). What crosses to the
  /// next stage is whole on every tp rank, wherever the cut: [n, tokens, hidden], or [n, channels, frames]
  /// after a convolution. Where items have sizes of their own it is [1, tokens, hidden], one item behind the
  /// other, and media are [1, places, width]. With sp > 1 a rank computes its part of each item
  /// (plan/item_layout.h): media of one size come whole, all else is its own places, tokens and features.
  at::Tensor forward(const at::Tensor& input, const Tokens& tokens = {},
                     Launches launches = Launches::one_by_one);

  /// The LLM's first stage: the text's ids and, for each encoder, its feature rows in the order of the
  /// placeholders (undefined where the microbatch has none) -> [b, t, hidden] or [1, n, hidden], as the ids.
  at::Tensor embed(const Text& text, const std::vector<at::Tensor>& features);

  /// The LLM's modules of this stage between embedding and head (blocks, final norm), on hidden states as
  /// `tokens` says.
  at::Tensor transform(const at::Tensor& hidden, const Tokens& tokens = {},
                       Launches launches = Launches::one_by_one);

  /// The LLM's last stage: the sum of the targets' cross-entropies given hidden [b, t, h], a scalar in fp32
  /// or wider, the same on every tp rank. Only rows with a target go through the head; the logits are never
  /// gathered. Zero (connected to nothing) if no rank has a target.
  at::Tensor loss(const at::Tensor& hidden, const Text& text);

  /// The LLM's last stage: for chosen rows of hidden [n, h], the id with the largest logit, on every tp rank.
  at::Tensor argmax(const at::Tensor& rows);

  /// Full logits [n, vocab] gathered over tp, for tests.
  at::Tensor logits(const at::Tensor& rows);

  bool has_head() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::models
