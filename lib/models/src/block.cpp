#include "cornstarch/nn/tensor_parallel.h"
#include "layers.h"
#include "linear.h"

namespace cornstarch::models {
namespace {

class Block : public Layer {
 public:
  Block(LayerContext& context, const catalog::BlockSpec& spec)
      : tp_(context.tp),
        head_dim_(spec.head_dim),
        causal_(spec.causal),
        activation_(spec.activation),
        norm1_(norm_of(context.parameters, spec.norm1)),
        norm2_(norm_of(context.parameters, spec.norm2)),
        q_(linear_of(context.parameters, spec.q)),
        k_(linear_of(context.parameters, spec.k)),
        v_(linear_of(context.parameters, spec.v)),
        o_(linear_of(context.parameters, spec.o)),
        up_(linear_of(context.parameters, spec.up)),
        down_(linear_of(context.parameters, spec.down)) {
    if (spec.gate) gate_ = linear_of(context.parameters, *spec.gate);
    if (spec.rope) rope_ = context.rope(*spec.rope, spec.head_dim);
  }

  at::Tensor forward(const at::Tensor& x) const override {
    // The residual is added into the products' own memory, which autograd does not need again.
    const at::Tensor middle = attend(x).add_(x);
    return feed_forward(middle).add_(middle);
  }

 private:
  at::Tensor attend(const at::Tensor& x) const {
    const at::Tensor h = nn::copy_to_tp(apply(norm1_, x), tp_);
    at::Tensor q = apply(q_, h);
    at::Tensor k = apply(k_, h);
    const at::Tensor v = apply(v_, h);
    if (rope_) {
      const nn::RopeTable table = rope_->table(x.size(1), x.options());
      std::tie(q, k) = nn::rotate(q, k, table);
    }
    return apply_row_parallel(o_, nn::attention(q, k, v, head_dim_, causal_), tp_);
  }

  at::Tensor feed_forward(const at::Tensor& x) const {
    const at::Tensor h = nn::copy_to_tp(apply(norm2_, x), tp_);
    const at::Tensor up = apply(up_, h);
    const at::Tensor inner = gate_.weight.defined() ? nn::gated(activation_, apply(gate_, h), up)
                                                    : nn::activation(activation_, up);
    return apply_row_parallel(down_, inner, tp_);
  }

  comm::GroupPtr tp_;
  std::int64_t head_dim_;
  bool causal_;
  catalog::Activation activation_;
  NormWeights norm1_, norm2_;
  Linear q_, k_, v_, o_, up_, down_;
  Linear gate_;  // undefined where the MLP has none
  std::shared_ptr<nn::Rope> rope_;
};

}  // namespace

std::shared_ptr<nn::Rope> LayerContext::rope(const catalog::RopeSpec& spec, std::int64_t head_dim) {
  const RopeKey key{spec.type,
                    spec.theta,
                    spec.factor,
                    spec.low_freq_factor,
                    spec.high_freq_factor,
                    spec.original_max_positions,
                    head_dim};
  std::shared_ptr<nn::Rope>& rope = ropes[key];
  if (!rope) rope = std::make_shared<nn::Rope>(spec, head_dim);
  return rope;
}

LayerPtr make_block(LayerContext& context, const catalog::BlockSpec& spec) {
  return std::make_unique<Block>(context, spec);
}

}  // namespace cornstarch::models
