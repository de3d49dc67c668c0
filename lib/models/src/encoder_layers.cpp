#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv1d.h>

#include <algorithm>
#include <optional>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cornstarch/nn/tensor_parallel.h"
#include "layers.h"
#include "linear.h"

namespace cornstarch::models {
namespace {

class NormLayer : public Layer {
 public:
  explicit NormLayer(NormWeights norm) : norm_(std::move(norm)) {}
  at::Tensor forward(const at::Tensor& x, TokenShape, const Tokens&) const override {
    return apply(norm_, x);
  }

 private:
  NormWeights norm_;
};

class PatchEmbedding : public Layer {
 public:
  PatchEmbedding(const ParameterSet& parameters, const catalog::PatchEmbedding& spec, Range tokens)
      : spec_(spec),
        tokens_(tokens),
        patch_(linear_of(parameters, {spec.convolution})),
        first_(parameters.find(spec.class_token)),
        positions_(parameters.at(spec.positions).value) {}

  at::Tensor forward(const at::Tensor& pixels, TokenShape, const Tokens&) const override {
    const std::int64_t c = spec_.channels, p = spec_.patch_size;
    const at::Tensor patches = nn::linear(
        own_patches(pixels), {patch_.weight.view({spec_.hidden, c * p * p}), patch_.bias, patch_.sum});
    const at::Tensor positions = positions_.view({-1, spec_.hidden}).narrow(0, tokens_.begin, tokens_.size());
    if (tokens_.begin >= spec_.leading()) return patches.add_(positions);
    const at::Tensor first = first_.expand({pixels.size(0), 1, spec_.hidden});
    return at::cat({first, patches}, 1).add_(positions);
  }

 private:
  /// Patches do not overlap: the convolution is a product of patches as rows [n, patches, c x p x p]. It
  /// leaves out what does not fill one.
  at::Tensor own_patches(const at::Tensor& pixels) const {
    const std::int64_t n = pixels.size(0), c = spec_.channels, p = spec_.patch_size;
    const std::int64_t side = spec_.image_size / p;
    const std::int64_t leading = spec_.leading();
    const Range own = {std::max(tokens_.begin, leading) - leading, tokens_.end - leading};
    const std::int64_t top = own.begin / side, bottom = (own.end + side - 1) / side;  // rows of patches
    return pixels.narrow(2, top * p, (bottom - top) * p)
        .narrow(3, 0, side * p)
        .reshape({n, c, bottom - top, p, side, p})
        .permute({0, 2, 4, 1, 3, 5})
        .reshape({n, (bottom - top) * side, c * p * p})
        .narrow(1, own.begin - top * side, own.size());
  }

  catalog::PatchEmbedding spec_;
  Range tokens_;
  Linear patch_;
  at::Tensor first_, positions_;
};

class PatchRows : public Layer {
 public:
  PatchRows(const ParameterSet& parameters, const catalog::PatchRows& spec)
      : values_(spec.values()), patch_(linear_of(parameters, {spec.convolution})) {}

  at::Tensor forward(const at::Tensor& patches, TokenShape, const Tokens&) const override {
    return nn::linear(patches.flatten(2), {patch_.weight.view({-1, values_}), patch_.bias, patch_.sum});
  }

 private:
  std::int64_t values_;
  Linear patch_;
};

class Conv1d : public Layer {
 public:
  Conv1d(const LayerContext& context, const catalog::Conv1d& spec, bool after_split, bool before_split,
         Padding padding)
      : spec_(spec),
        tp_(context.tp),
        weight_(context.parameters.at(spec.prefix + ".weight").value),
        bias_(context.parameters.at(spec.prefix + ".bias").value),
        part_(context.parameters.part(spec.prefix + ".weight")),
        after_split_(after_split),
        before_split_(before_split),
        padding_(padding) {}

  at::Tensor forward(const at::Tensor& x, TokenShape, const Tokens&) const override {
    return spec_.split_output ? output_parallel(x) : input_parallel(x);
  }

 private:
  at::Tensor convolve(const at::Tensor& x, const at::Tensor& bias) const {
    if (padding_.front == padding_.back) return at::conv1d(x, weight_, bias, spec_.stride, padding_.front);
    const at::Tensor padded = at::constant_pad_nd(x, {padding_.front, padding_.back});
    return at::conv1d(padded, weight_, bias, spec_.stride);
  }

  at::Tensor output_parallel(const at::Tensor& x) const {
    const at::Tensor y = nn::activation(catalog::Activation::gelu, convolve(nn::copy_to_tp(x, tp_), bias_));
    return before_split_ ? y : nn::gather_from_tp(y, 1, part_, spec_.out, tp_);
  }

  at::Tensor input_parallel(const at::Tensor& x) const {
    const at::Tensor mine = after_split_ ? x : nn::split_to_tp(x, 1, part_, tp_);
    if (tp_->size() == 1) return nn::activation(catalog::Activation::gelu, convolve(mine, bias_));
    const at::Tensor y = nn::reduce_from_tp(convolve(mine, {}), tp_).add_(bias_.unsqueeze(1));
    return nn::activation(catalog::Activation::gelu, y);
  }

  catalog::Conv1d spec_;
  comm::GroupPtr tp_;
  at::Tensor weight_, bias_;
  Range part_;  // of the channels that are split
  bool after_split_, before_split_;
  Padding padding_;
};

class Positions : public Layer {
 public:
  Positions(at::Tensor table, Range tokens) : table_(std::move(table)), tokens_(tokens) {}

  at::Tensor forward(const at::Tensor& x, TokenShape, const Tokens&) const override {
    if (x.size(2) != tokens_.size()) {
      throw Failure(ExitCode::internal, cat("positions for ", tokens_.size(), " frames, got ", x.size(2)));
    }
    return (x.transpose(1, 2) + table_.narrow(0, tokens_.begin, tokens_.size())).contiguous();
  }

 private:
  at::Tensor table_;
  Range tokens_;
};

/// Means in what this rank holds of the grid [n, places, hidden]: whole rows of it, or some of its only row.
at::Tensor pooled(const catalog::AvgPool& pool, const at::Tensor& x) {
  const std::int64_t width = pool.rows == 1 ? x.size(1) : pool.columns;
  const std::int64_t down = x.size(1) / width / pool.row_stride, across = width / pool.column_stride;
  return x.unflatten(1, {-1, width})
      .narrow(1, 0, down * pool.row_stride)
      .narrow(2, 0, across * pool.column_stride)
      .unflatten(2, {across, pool.column_stride})
      .unflatten(1, {down, pool.row_stride})
      .mean({2, 4})
      .flatten(1, 2);
}

class AvgPool : public Layer {
 public:
  explicit AvgPool(const catalog::AvgPool& spec) : spec_(spec) {}
  at::Tensor forward(const at::Tensor& x, TokenShape, const Tokens&) const override {
    return pooled(spec_, x);
  }

 private:
  catalog::AvgPool spec_;
};

class ProjectorLayer : public Layer {
 public:
  ProjectorLayer(const LayerContext& context, const catalog::Projector& spec)
      : tp_(context.tp), pool_(spec.pool), activation_(spec.activation), merged_(spec.merged) {
    if (!spec.identity) out_ = linear_of(context.parameters, spec.out_proj);
    if (spec.in_proj) in_ = linear_of(context.parameters, *spec.in_proj);
    if (spec.norm) norm_ = norm_of(context.parameters, *spec.norm);
  }

  at::Tensor forward(const at::Tensor& features, TokenShape, const Tokens&) const override {
    const at::Tensor means = pool_ ? pooled(*pool_, features) : features;
    at::Tensor x = means.reshape({means.size(0), means.size(1) / merged_, merged_ * means.size(2)});
    if (!out_.weight.defined()) return x;
    if (norm_) x = apply(*norm_, x);
    if (!in_.weight.defined()) return apply(out_, x);
    const at::Tensor inner = nn::activation(activation_, apply(in_, nn::copy_to_tp(x, tp_)));
    return apply_row_parallel(out_, inner, tp_);
  }

 private:
  comm::GroupPtr tp_;
  std::optional<catalog::AvgPool> pool_;
  catalog::Activation activation_;
  std::int64_t merged_;
  std::optional<NormWeights> norm_;
  Linear in_;   // undefined: a linear projector
  Linear out_;  // undefined: none
};

class Merger : public Layer {
 public:
  Merger(const LayerContext& context, const catalog::Merger& spec)
      : norm_(norm_of(context.parameters, spec.norm)), rows_(context, spec.rows) {}

  at::Tensor forward(const at::Tensor& x, TokenShape shape, const Tokens& tokens) const override {
    return rows_.forward(apply(norm_, x), shape, tokens);
  }

 private:
  NormWeights norm_;
  ProjectorLayer rows_;
};

}  // namespace

LayerPtr make_norm(const LayerContext& context, const catalog::NormSpec& spec) {
  return std::make_unique<NormLayer>(norm_of(context.parameters, spec));
}

LayerPtr make_patch_embedding(const LayerContext& context, const catalog::PatchEmbedding& spec,
                              Range tokens) {
  return std::make_unique<PatchEmbedding>(context.parameters, spec, tokens);
}

LayerPtr make_patch_rows(const LayerContext& context, const catalog::PatchRows& spec) {
  return std::make_unique<PatchRows>(context.parameters, spec);
}

LayerPtr make_conv1d(const LayerContext& context, const catalog::Conv1d& spec, bool after_split,
                     bool before_split, Padding padding) {
  return std::make_unique<Conv1d>(context, spec, after_split, before_split, padding);
}

LayerPtr make_positions(const LayerContext& context, const catalog::AddPositions& spec, Range tokens) {
  return std::make_unique<Positions>(context.parameters.at(spec.prefix + ".weight").value, tokens);
}

LayerPtr make_avg_pool(const catalog::AvgPool& spec) { return std::make_unique<AvgPool>(spec); }

LayerPtr make_projector(const LayerContext& context, const catalog::Projector& spec) {
  return std::make_unique<ProjectorLayer>(context, spec);
}

LayerPtr make_merger(const LayerContext& context, const catalog::Merger& spec) {
  return std::make_unique<Merger>(context, spec);
}

}  // namespace cornstarch::models
