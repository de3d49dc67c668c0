#include "cornstarch/models/stage.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/nn/cross_entropy.h"
#include "cornstarch/nn/replay.h"
#include "cornstarch/nn/sequence_parallel.h"
#include "cornstarch/nn/tensor_parallel.h"
#include "cornstarch/plan/item_layout.h"
#include "layers.h"

namespace cornstarch::models {
namespace {

struct VocabParallel {
  at::Tensor weight;  // [rows of this rank, hidden]
  Range part;
  std::int64_t vocab = 0;
  std::int64_t padding_idx = -1;
  nn::GradientSumPtr sum;
  double scale = 1;    // of an embedding
  double softcap = 0;  // of a head
};

std::string placeholder_mismatch(std::size_t encoder, std::int64_t placeholders, std::int64_t rows) {
  return cat("encoder ", encoder, ": ", placeholders, " placeholders for ", rows, " feature rows");
}

}  // namespace

struct Stage::Impl {
  Impl(const catalog::Modality& modality_in, const std::vector<int>& modules, comm::GroupPtr tp_in,
       const StageOptions& options)
      : modality(modality_in),
        tp(std::move(tp_in)),
        sp(options.where.sp),
        cp(options.cp),
        dtype(options.dtype),
        parameters(modality, modules, *tp, options),
        context{parameters,   tp, options.where.tp_sequence_parallel, options.where.checkpointing,
                options.seed, {}} {
    if (options.where.fp8) context.fp8 = std::make_shared<nn::Fp8Scales>();
    for (std::size_t i = 0; i < modules.size(); ++i) add(modules, i);
  }

  const catalog::Modality& modality;
  comm::GroupPtr tp;
  int sp, cp;
  at::ScalarType dtype;
  ParameterSet parameters;
  LayerContext context;
  bool takes_media = false;
  std::optional<VocabParallel> embedding;
  std::vector<LayerPtr> layers;
  std::vector<int> layer_modules;  // of each layer: its index in the spec
  LayerPtr projector;
  std::optional<VocabParallel> head;
  std::vector<ModuleObserver*> observers;
  nn::Replayed replayed{[this](const at::Tensor& x) { return compute(x, {}); }};

  void add(const std::vector<int>& modules, std::size_t i) {
    const auto module = static_cast<std::size_t>(modules[i]);
    if (!modality.used.at(module)) return;
    takes_media = takes_media || (module == 0 && !catalog::is_llm(modality));
    const auto body = [&](std::size_t at) -> const catalog::ModuleBody* {
      return at < modules.size() ? &modality.spec.modules.at(static_cast<std::size_t>(modules[at])).body
                                 : nullptr;
    };
    std::visit(Builder{*this, modules[i], body(i - 1), body(i + 1)}, *body(i));
    if (layer_modules.size() < layers.size()) layer_modules.push_back(modules[i]);
  }

  VocabParallel vocab_parallel(const std::string& prefix, std::int64_t vocab,
                               std::int64_t padding_idx) const {
    const std::string name = prefix + ".weight";
    const Parameter& p = parameters.at(name);
    return {p.value, parameters.part(name), vocab, padding_idx, p.sum};
  }

  /// Of an item, where all are of one size: what this rank holds of it behind a module.
  Range places_behind(std::ptrdiff_t module) const {
    const auto item = catalog::fixed_extents(modality.spec);
    if (!item) throw Failure(ExitCode::internal, cat(modality.name, " takes items of any size"));
    return plan::held_places(modality.spec, *item, sp, cp)[static_cast<std::size_t>(module + 1)];
  }

  Padding padding_of(const catalog::Conv1d& conv, int module) const {
    if (sp == 1) return {1, 1};
    const Range in = places_behind(module - 1), out = places_behind(module);
    return {in.begin - (out.begin * conv.stride - 1), (out.end - 1) * conv.stride + 2 - in.end};
  }

  // Makes what a module of each kind needs; knows the module's neighbours in this stage (null at its ends).
  struct Builder {
    Impl& stage;
    int module;
    const catalog::ModuleBody* before;
    const catalog::ModuleBody* after;

    void operator()(const catalog::TokenEmbedding& e) const {
      stage.embedding = stage.vocab_parallel(e.prefix, e.vocab, e.padding_idx);
      stage.embedding->scale = e.scale;
    }
    void operator()(const catalog::LmHead& h) const {
      stage.head = stage.vocab_parallel(h.linear.prefix, h.linear.out, -1);
      stage.head->softcap = h.softcap;
    }
    void operator()(const catalog::BlockSpec& b) const {
      stage.layers.push_back(make_block(stage.context, b));
    }
    void operator()(const catalog::Norm& n) const {
      if (!n.pooled_only) stage.layers.push_back(make_norm(stage.context, n.norm));
    }
    void operator()(const catalog::PatchEmbedding& p) const {
      stage.layers.push_back(make_patch_embedding(stage.context, p, stage.places_behind(module)));
    }
    void operator()(const catalog::PatchRows& p) const {
      stage.layers.push_back(make_patch_rows(stage.context, p));
    }
    void operator()(const catalog::Conv1d& c) const {
      const bool after_split = is_conv(before, true);
      const bool before_split = is_conv(after, false);
      stage.layers.push_back(
          make_conv1d(stage.context, c, after_split, before_split, stage.padding_of(c, module)));
    }
    void operator()(const catalog::AddPositions& p) const {
      stage.layers.push_back(make_positions(stage.context, p, stage.places_behind(module)));
    }
    void operator()(const catalog::AvgPool& p) const { stage.layers.push_back(make_avg_pool(p)); }
    void operator()(const catalog::Projector& p) const { stage.projector = make_projector(stage.context, p); }
    void operator()(const catalog::Merger& m) const { stage.layers.push_back(make_merger(stage.context, m)); }

    static bool is_conv(const catalog::ModuleBody* body, bool split_output) {
      const auto* conv = body == nullptr ? nullptr : std::get_if<catalog::Conv1d>(body);
      return conv != nullptr && conv->split_output == split_output;
    }
  };

  int last_module() const { return static_cast<int>(modality.spec.modules.size()) - 1; }

  /// What `forward` of a module gives, told to the observers.
  template <typename Forward>
  at::Tensor observed(int module, Forward&& forward) const {
    for (ModuleObserver* observer : observers) observer->before_forward(module);
    const at::Tensor out = forward();
    if (!out.requires_grad()) return out;
    for (ModuleObserver* observer : observers)
      out.register_hook([observer, module](const at::TensorBase&) { observer->before_backward(module); });
    return out;
  }

  at::Tensor run(at::Tensor x, const Tokens& tokens) const {
    TokenShape shape;
    bool shared = false;
    const auto hold = [&](bool share) {
      if (share && !shared) {
        shape = {x.size(0), x.size(1)};
        x = nn::split_rows(x.flatten(0, 1), tp);
      } else if (shared && !share) {
        x = nn::join_rows(x, shape.b * shape.t, tp).view({shape.b, shape.t, x.size(1)});
      }
      shared = share;
    };
    for (std::size_t i = 0; i < layers.size(); ++i) {
      hold(layers[i]->takes_share());
      x = observed(layer_modules[i], [&] { return layers[i]->forward(x, shape, tokens); });
    }
    hold(false);
    return x;
  }

  /// Media as the first module takes them: where it can, only the places that this rank needs. Those of any
  /// size come so.
  at::Tensor own_media(const at::Tensor& x) const {
    const auto dim = catalog::place_dim(modality.spec.modules.front());
    if (!dim || !catalog::fixed_extents(modality.spec)) return x;
    const Range own = places_behind(-1);
    return x.narrow(*dim, own.begin, own.size());
  }

  at::Tensor project(at::Tensor x, const Tokens& tokens) const {
    if (modality.drop_tokens > 0) {
      const std::int64_t first = places_behind(last_module() - 1).begin;
      const std::int64_t drop = std::clamp<std::int64_t>(modality.drop_tokens - first, 0, x.size(1));
      x = x.narrow(1, drop, x.size(1) - drop);
    }
    return observed(last_module(), [&] { return projector->forward(x, {}, tokens).flatten(0, 1); });
  }

  /// All modules of the stage but embedding and head.
  at::Tensor compute(const at::Tensor& input, const Tokens& tokens) const {
    const at::Tensor own = takes_media ? own_media(input) : input;
    const at::Tensor hidden = run(own.to(dtype), tokens);
    return projector ? project(hidden, tokens) : hidden;
  }

  at::Tensor launch(const at::Tensor& input, const Tokens& tokens, Launches launches) {
    const bool alone = tp->size() == 1 && sp == 1 && observers.empty();
    const bool replays =
        launches == Launches::replayed && alone && !tokens.layout && !tokens.facts.names.of.defined();
    return replays ? replayed(input) : compute(input, tokens);
  }

  const VocabParallel& the_head() const {
    if (!head) throw Failure(ExitCode::internal, "this stage has no head");
    return *head;
  }

  at::Tensor local_logits(const at::Tensor& rows) const {
    const at::Tensor logits = nn::linear(nn::copy_to_tp(rows, tp), {the_head().weight});
    return head->softcap > 0 ? at::tanh(logits / head->softcap) * head->softcap : logits;
  }
};

Stage::Stage(const catalog::Modality& modality, const std::vector<int>& modules, comm::GroupPtr tp,
             const StageOptions& options)
    : impl_(std::make_unique<Impl>(modality, modules, std::move(tp), options)) {}
Stage::~Stage() = default;
Stage::Stage(Stage&&) noexcept = default;

void Stage::observe(ModuleObserver* observer) { impl_->observers.push_back(observer); }
std::vector<Parameter>& Stage::parameters() { return impl_->parameters.list(); }
nn::Fp8Scales* Stage::fp8() const { return impl_->context.fp8.get(); }
bool Stage::has_head() const { return impl_->head.has_value(); }

at::Tensor Stage::forward(const at::Tensor& input, const Tokens& tokens, Launches launches) {
  return impl_->launch(input, tokens, launches);
}

at::Tensor Stage::embed(const Text& text, const std::vector<at::Tensor>& features) {
  if (!impl_->embedding) throw Failure(ExitCode::internal, "this stage has no embedding");
  const VocabParallel& table = *impl_->embedding;
  at::Tensor hidden = impl_->observed(0, [&] {
    return nn::vocab_parallel_embedding(text.ids.flatten(), table.weight, table.part.begin, table.padding_idx,
                                        impl_->tp);
  });
  if (table.scale != 1) hidden.mul_(at::scalar_tensor(table.scale, hidden.options().device(at::kCPU)));
  for (std::size_t e = 0; e < text.placeholders.size(); ++e) {
    const at::Tensor& rows = text.placeholders[e];
    const std::int64_t given = features.at(e).defined() ? features[e].size(0) : 0;
    if (rows.size(0) != given) {
      throw Failure(ExitCode::internal, placeholder_mismatch(e, rows.size(0), given));
    }
    // Without rows too: whether there is a graph is the same on every rank.
    if (features[e].defined()) hidden.index_copy_(0, rows, features[e]);
  }
  return hidden.view({text.ids.size(0), text.ids.size(1), hidden.size(1)});
}

at::Tensor Stage::transform(const at::Tensor& hidden, const Tokens& tokens, Launches launches) {
  return impl_->launch(hidden, tokens, launches);
}

at::Tensor Stage::loss(const at::Tensor& hidden, const Text& text) {
  if (!text.learns) {
    const bool narrow = hidden.element_size() < 4;
    return at::zeros({}, hidden.options().dtype(narrow ? at::kFloat : hidden.scalar_type()));
  }
  const VocabParallel& head = impl_->the_head();
  const at::Tensor rows = hidden.flatten(0, 1).index_select(0, text.target_rows);
  return impl_->observed(impl_->last_module(), [&] {
    return nn::linear_cross_entropy(rows, {head.weight, {}, head.sum}, text.targets, head.part.begin,
                                    head.vocab, impl_->tp, nn::kLogitBytes, head.softcap);
  });
}

at::Tensor Stage::argmax(const at::Tensor& rows) {
  const at::NoGradGuard no_grad;
  return nn::vocab_parallel_argmax(impl_->local_logits(rows), impl_->head->part.begin, impl_->tp);
}

at::Tensor Stage::logits(const at::Tensor& rows) {
  const at::Tensor local = impl_->local_logits(rows);
  return nn::gather_from_tp(local, 1, impl_->head->part, impl_->head->vocab, impl_->tp);
}

}  // namespace cornstarch::models
