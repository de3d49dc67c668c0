#include "activation.h"
#include "build.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

constexpr double kProjectorStd = 0.02;

/// The grid of an item's tokens, without those that are no patch.
AvgPool grid_of(const ModelSpec& spec) {
  const Extents item = fixed_extents(spec).value_or(Extents{});
  if (item.h > 1) return {item.h, item.w};
  return {1, last_places(spec, item) - spec.leading_tokens};
}

/// What the projector averages, or nothing.
std::optional<AvgPool> pool_of(const Context& context, const config::Encoder& encoder,
                               const std::string& path, const ModelSpec& spec) {
  const std::int64_t stride = encoder.projector.avg_pool;
  if (stride <= 1) return std::nullopt;
  if (!fixed_extents(spec)) {
    context.error("bad_pool", path + ".projector.avg_pool",
                  cat("avg_pool is of items of one size, '", encoder.name, "' takes any"),
                  spec.patch_block > 1 ? cat("its features are of ", spec.patch_block, " x ",
                                             spec.patch_block, " patches already")
                                       : "");
    return std::nullopt;
  }
  AvgPool pool = grid_of(spec);
  if (stride > pool.columns) {
    context.error("bad_pool", path + ".projector.avg_pool",
                  cat("avg_pool ", stride, " is more than the ", pool.columns,
                      " features beside each other that '", encoder.name, "' gives"));
    return std::nullopt;
  }
  if (spec.leading_tokens > 0 && encoder.feature_select == config::FeatureSelect::full)
    context.error("bad_pool", path + ".projector.avg_pool",
                  "avg_pool is of patches, which the class token is none of", "use feature_select: patch");
  pool.column_stride = stride;
  if (pool.rows > 1) pool.row_stride = stride;
  return pool;
}

/// Of the norms of the encoder, which its projector's is like.
double norm_eps(const ModelSpec& encoder) {
  double eps = 1e-6;
  for (const ModuleSpec& module : encoder.modules)
    if (const auto* norm = std::get_if<Norm>(&module.body)) eps = norm->norm.eps;
  return eps;
}

ModuleSpec projector_module(const config::Projector& projector, const ModelSpec& encoder, std::int64_t out,
                            Activation activation) {
  const std::int64_t in = encoder.hidden_size;
  ModuleSpec module{.name = "projector", .body = Projector{}};
  if (projector.type == config::ProjectorType::norm_linear) {
    const NormSpec norm{NormKind::rms_norm, norm_eps(encoder), in, "projector.norm", 1};
    const LinearSpec linear{"projector.projection", in, out, false};
    add_norm(module.params, norm);
    add_linear(module.params, linear, LinearSplit::none, 1, kProjectorStd);
    module.body = Projector{.in_proj = {}, .out_proj = linear, .norm = norm};
    return module;
  }
  if (projector.type == config::ProjectorType::linear) {
    const LinearSpec linear{"projector.projection", in, out, true};
    add_linear(module.params, linear, LinearSplit::none, 1, kProjectorStd);
    module.body = Projector{std::nullopt, activation, linear};
    return module;
  }
  if (projector.type == config::ProjectorType::none) {
    module.body = Projector{.in_proj = {}, .out_proj = {"", in, in}, .identity = true};
    return module;
  }
  const LinearSpec first{"projector.in_proj", in, out, true};
  const LinearSpec second{"projector.out_proj", out, out, true};
  add_linear(module.params, first, LinearSplit::rows, 1, kProjectorStd);
  add_linear(module.params, second, LinearSplit::columns, 1, kProjectorStd);
  module.body = Projector{first, activation, second};
  return module;
}

/// How many layers run for a feature_layer, which counts as an index into HF's hidden_states does.
std::int64_t layers_run(std::int64_t feature_layer, std::int64_t layers) {
  return feature_layer < 0 ? layers + 1 + feature_layer : feature_layer;
}

}  // namespace

void add_projector(const Context& context, const config::Encoder& encoder, const std::string& path,
                   std::optional<std::int64_t> llm_hidden, Modality& modality) {
  const auto activation = parse_activation(encoder.projector.activation);
  if (!activation) {
    const std::string guess = did_you_mean(encoder.projector.activation, activation_names());
    context.error("unknown_activation", path + ".projector.activation",
                  cat("unknown activation '", encoder.projector.activation, "'"),
                  cat(guess, guess.empty() ? "known are " : " Known are ", join(activation_names(), ", ")));
  }
  const std::int64_t in = modality.spec.hidden_size;
  if (encoder.projector.type == config::ProjectorType::none && in != llm_hidden.value_or(in))
    context.error("bad_projector", path + ".projector.type",
                  cat("without a projector '", encoder.name, "' gives features ", in, " wide, the LLM takes ",
                      *llm_hidden),
                  "use type: linear or mlp");
  modality.spec.modules.push_back(projector_module(encoder.projector, modality.spec, llm_hidden.value_or(in),
                                                   activation.value_or(Activation::gelu)));
  std::get<Projector>(modality.spec.modules.back().body).pool =
      pool_of(context, encoder, path, modality.spec);
}

void select_features(const Context& context, const config::Encoder& encoder, const std::string& path,
                     Modality& modality) {
  const ModelSpec& spec = modality.spec;
  std::int64_t run = layers_run(encoder.feature_layer, spec.num_layers);
  if (run < 0 || run > spec.num_layers) {
    context.error(
        "bad_feature_layer", path + ".feature_layer",
        cat("feature_layer ", encoder.feature_layer, " is outside of ", -(spec.num_layers + 1), "..-1"),
        cat("-1 is what the last of the ", spec.num_layers, " layers gives, ", -(spec.num_layers + 1),
            " what the first takes"));
    run = spec.num_layers;
  }
  std::int64_t layer = 0;
  for (const ModuleSpec& module : spec.modules) {
    bool used = feeds_features(module);
    if (is_layer(module)) used = used && layer++ < run;
    // A norm behind the last layer counts as part of it; in front of the first it always runs.
    if (role_of(module) == Role::norm)
      used = used && (layer == 0 || (run == spec.num_layers && encoder.feature_norm));
    modality.used.push_back(used);
  }
  if (encoder.feature_select == config::FeatureSelect::patch) {
    modality.drop_tokens = spec.leading_tokens;
    if (spec.leading_tokens == 0) {
      context.error("bad_feature_select", path + ".feature_select",
                    cat(spec.family, " has no class token that 'patch' could drop"),
                    "use feature_select: full");
    }
  }
}

void check_placeholders(const Context& context) {
  const auto& encoders = context.config().model.encoders;
  const auto path_of = [](const config::Encoder& encoder) {
    return cat("model.encoders.", encoder.name, ".placeholder");
  };
  for (std::size_t i = 0; i < encoders.size(); ++i) {
    const std::string& own = encoders[i].placeholder;
    if (own.empty()) {
      context.error("bad_placeholder", path_of(encoders[i]),
                    cat("the placeholder of '", encoders[i].name, "' is empty"),
                    cat("it marks in a text where the media stand, as \"<", encoders[i].name, ">\""));
      continue;
    }
    for (std::size_t j = 0; j < encoders.size(); ++j) {
      const std::string& other = encoders[j].placeholder;
      if (i == j || other.empty() || own.find(other) == std::string::npos) continue;
      if (own == other && j > i) continue;  // reported once, at the later one
      context.error("bad_placeholder", path_of(encoders[i]),
                    own == other ? cat("the placeholder '", own, "' is that of '", encoders[j].name, "', too")
                                 : cat("the placeholder '", own, "' contains '", other, "', that of '",
                                       encoders[j].name, "'"),
                    "placeholders must tell the encoders apart in a text");
    }
  }
}

}  // namespace cornstarch::catalog
