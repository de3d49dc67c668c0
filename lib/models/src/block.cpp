#include <ATen/TensorOperators.h>

#include <optional>
#include <tuple>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cornstarch/nn/recompute.h"
#include "cornstarch/nn/sequence_parallel.h"
#include "cornstarch/nn/tensor_parallel.h"
#include "layers.h"
#include "linear.h"

namespace cornstarch::models {
namespace {

using config::Checkpointing;

class Block : public Layer {
 public:
  Block(LayerContext& context, const catalog::BlockSpec& spec)
      : number_(context.blocks++),
        tp_(context.tp),
        shares_rows_(context.shares_rows),
        checkpointing_(context.checkpointing),
        head_dim_(spec.attention.head_dim),
        causal_(spec.attention.causal),
        window_(spec.attention.window),
        q_scale_(spec.attention.q_scale),
        softcap_(spec.attention.softcap),
        activation_(spec.feed_forward.activation),
        qkv_{layer_of(context, spec.attention.q), layer_of(context, spec.attention.k),
             layer_of(context, spec.attention.v)},
        up_gate_{layer_of(context, spec.feed_forward.up)},
        o_(layer_of(context, spec.attention.o)),
        down_(layer_of(context, spec.feed_forward.down)) {
    const catalog::AttentionSpec& attention = spec.attention;
    if (spec.feed_forward.gate) up_gate_.push_back(layer_of(context, *spec.feed_forward.gate));
    const auto norm = [&](const std::optional<catalog::NormSpec>& s) {
      return s ? std::optional(norm_of(context.parameters, *s)) : std::nullopt;
    };
    norm1_ = norm(spec.norm1);
    norm2_ = norm(spec.norm2);
    attention_norm_ = norm(spec.attention_norm);
    feed_forward_norm_ = norm(spec.feed_forward_norm);
    if (spec.attention_scale) attention_scale_ = context.parameters.at(spec.attention_scale->name).value;
    if (spec.feed_forward_scale)
      feed_forward_scale_ = context.parameters.at(spec.feed_forward_scale->name).value;
    q_norm_ = norm(attention.q_norm);
    k_norm_ = norm(attention.k_norm);
    if (attention.rope) rope_ = context.rope(*attention.rope, head_dim_);
  }

  bool takes_share() const override { return shares_rows_; }

  at::Tensor forward(const at::Tensor& x, TokenShape shape, const Tokens& tokens) const override {
    if (checkpointing_ != Checkpointing::full) return run(x, shape, tokens);
    return nn::checkpoint([this, shape, tokens](at::TensorList in) { return run(in[0], shape, tokens); }, x);
  }

 private:
  at::Tensor run(const at::Tensor& x, TokenShape shape, const Tokens& tokens) const {
    const at::Tensor attended = added(attention_norm_, attention_scale_, attend(x, shape, tokens));
    if (checkpointing_ == Checkpointing::selective) {
      // Added into the products' own memory, which autograd does not need again.
      const at::Tensor middle = attended.add_(x);
      const auto normed = [this, shape](at::TensorList in) { return enter(through(norm2_, in[0]), shape); };
      return added(feed_forward_norm_, feed_forward_scale_, feed_forward(normed, middle, tokens.facts))
          .add_(middle);
    }
    const nn::NormedSum middle = before_feed_forward(attended, x);
    const auto entered = [this, shape](at::TensorList in) { return enter(in[0], shape); };
    return added(feed_forward_norm_, feed_forward_scale_, feed_forward(entered, middle.normed, tokens.facts))
        .add_(middle.sum);
  }

  nn::NormedSum before_feed_forward(const at::Tensor& attended, const at::Tensor& x) const {
    if (norm2_) return add_and_apply(*norm2_, attended, x);
    const at::Tensor sum = attended.add_(x);
    return {sum, sum};
  }

  at::Tensor attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                       const Tokens& tokens) const {
    if (tokens.cache != nullptr) {
      const bool behind_others = tokens.cache->holds(number_);
      const auto [keys, values] = tokens.cache->add(number_, k, v, window_);
      if (behind_others) return nn::attention(q, keys, values, head_dim_, false, softcap_);
    }
    const nn::ContextLayoutPtr& layout = tokens.layout_of(window_);
    if (!layout) {
      if (window_ > 0 && window_ < q.size(1))
        throw Failure(ExitCode::internal, cat("a window of ", window_, " over whole rows of ", q.size(1)));
      return nn::attention(q, k, v, head_dim_, causal_, softcap_);
    }
    const auto rows = [](const at::Tensor& x) { return x.flatten(0, 1); };
    return nn::context_attention(rows(q), rows(k), rows(v), head_dim_, layout, softcap_).view(q.sizes());
  }

  /// What a half of the block takes, through a norm where it has one there.
  static at::Tensor through(const std::optional<NormWeights>& norm, const at::Tensor& x) {
    return norm ? apply(*norm, x) : x;
  }

  /// What a half of the block adds.
  static at::Tensor added(const std::optional<NormWeights>& norm, const at::Tensor& scale,
                          const at::Tensor& x) {
    const at::Tensor normed = through(norm, x);
    return scale.defined() ? normed * scale : normed;
  }

  /// Queries or keys [b, t, heads x head_dim], normed head by head or over the heads of all ranks.
  at::Tensor of_heads(const std::optional<NormWeights>& norm, const at::Tensor& x) const {
    if (!norm) return x;
    if (norm->size == head_dim_) return apply(*norm, x.unflatten(2, {-1, head_dim_})).flatten(2);
    return nn::split_rms_norm(x, norm->weight, norm->eps, norm->offset, norm->size, tp_);
  }

  at::Tensor attend(const at::Tensor& x, TokenShape shape, const Tokens& tokens) const {
    const auto normed = [this, shape](at::TensorList in) { return enter(through(norm1_, in[0]), shape); };
    const std::vector<at::Tensor> qkv = products(normed, x, qkv_, tokens.facts);
    at::Tensor q = of_heads(q_norm_, qkv[0]), k = of_heads(k_norm_, qkv[1]);
    if (q_scale_ != 1) q = q * q_scale_;
    if (rope_) {
      const nn::RopeTable table =
          tokens.positions.defined()
              ? rope_->table_at(tokens.positions, tokens.length, tokens.rows, q.options())
              : rope_->table(q.size(1), q.options());
      std::tie(q, k) = nn::rotate(q, k, table);
    }
    return leave(nn::linear(attention(q, k, qkv[2], tokens), partial(o_), tokens.facts), o_);
  }

  at::Tensor feed_forward(const nn::Recomputed& normed, const at::Tensor& x,
                          const nn::RowFacts& facts) const {
    const auto activated = [kind = activation_](at::TensorList in) {
      return in.size() == 2 ? nn::gated(kind, in[1], in[0]) : nn::activation(kind, in[0]);
    };
    const std::vector<at::Tensor> inner = products(normed, x, up_gate_, facts);
    return leave(products(activated, inner, {partial(down_)}, facts)[0], down_);
  }

  /// f(inputs) through each of the layers; what f computes is kept or computed again.
  std::vector<at::Tensor> products(const nn::Recomputed& f, at::TensorList inputs,
                                   const std::vector<Linear>& layers, const nn::RowFacts& facts) const {
    if (checkpointing_ == Checkpointing::selective) return nn::recomputed_linear(f, inputs, layers, facts);
    return nn::linears(f(inputs), layers, facts);
  }

  /// Tokens between the halves as column-parallel products take them: [b, t, hidden], all on every rank.
  at::Tensor enter(const at::Tensor& x, TokenShape shape) const {
    if (!shares_rows_) return nn::copy_to_tp(x, tp_);
    return nn::gather_rows(x, shape.b * shape.t, tp_).view({shape.b, shape.t, x.size(1)});
  }

  /// A row-parallel layer's own product: with its bias if it is all there is to add up.
  Linear partial(const Linear& layer) const {
    return {layer.weight, tp_->size() == 1 ? layer.bias : at::Tensor(), layer.sum, layer.fp8, layer.adapter};
  }

  /// The ranks' partial products [b, t, hidden] added up, and the bias, as tokens are held between the
  /// halves.
  at::Tensor leave(const at::Tensor& parts, const Linear& layer) const {
    if (tp_->size() == 1) return parts;
    at::Tensor y = shares_rows_ ? nn::scatter_rows(parts.flatten(0, 1), tp_) : nn::reduce_from_tp(parts, tp_);
    return layer.bias.defined() ? y.add_(layer.bias) : y;
  }

  std::size_t number_;  // among the stage's
  comm::GroupPtr tp_;
  bool shares_rows_;
  Checkpointing checkpointing_;
  std::int64_t head_dim_;
  bool causal_;
  std::int64_t window_;
  double q_scale_, softcap_;
  catalog::Activation activation_;
  std::optional<NormWeights> norm1_, norm2_, attention_norm_, feed_forward_norm_, q_norm_, k_norm_;
  at::Tensor attention_scale_, feed_forward_scale_;  // undefined where there is none
  std::vector<Linear> qkv_, up_gate_;                // the gate is left out where the MLP has none
  Linear o_, down_;
  std::shared_ptr<nn::Rope> rope_;
};

}  // namespace

std::shared_ptr<nn::Rope> LayerContext::rope(const catalog::RopeSpec& spec, std::int64_t head_dim) {
  std::shared_ptr<nn::Rope>& rope = ropes[{spec, head_dim}];
  if (!rope) rope = std::make_shared<nn::Rope>(spec, head_dim);
  return rope;
}

LayerPtr make_block(LayerContext& context, const catalog::BlockSpec& spec) {
  return std::make_unique<Block>(context, spec);
}

}  // namespace cornstarch::models
