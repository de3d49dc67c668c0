#include "cornstarch/catalog/resolve.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "projector_file.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

/// A modality that could be read, with the place of its section.
struct Read {
  std::string path;
  std::optional<Modality> modality;
  const std::optional<config::Parallel>* parallel = nullptr;
  Training training;
  const std::optional<config::Lora>* lora = nullptr;
};

void check_channels(const Context& context, const ModelSource& source, const ModelSpec& spec) {
  if (spec.kind != ModelKind::vision || spec.item_shape.empty() || spec.item_shape[0] == 3) return;
  context.error("bad_model_config",
                source.path + (source.pretrained ? ".pretrained" : ".config.num_channels"),
                cat("pictures are read with 3 channels, the model takes ", spec.item_shape[0]));
}

Training training_of(const config::Llm& llm) {
  const PartTraining part{"train", llm.train, "model.llm.optimizer", &llm.optimizer};
  return {"model.llm", part, part, llm.train_only, llm.train_except};
}

Training training_of(const config::Encoder& encoder, const std::string& path) {
  return {path,
          {"train.encoder", encoder.train.encoder, path + ".optimizer.encoder", &encoder.optimizer.encoder},
          {"train.projector", encoder.train.projector, path + ".optimizer.projector",
           &encoder.optimizer.projector},
          encoder.train_only,
          encoder.train_except};
}

Read read_llm(const Context& context) {
  const config::Llm& llm = context.config().model.llm;
  const ModelSource source{"model.llm",        "llm", llm.family, llm.pretrained, llm.config_json,
                           llm.ignore_weights, true};
  Read read{source.path, std::nullopt, &llm.parallel, training_of(llm), &llm.lora};
  auto spec = read_model(context, source);
  if (!spec) return read;
  check_weights(context, source, *spec);
  Modality modality{.name = "llm", .spec = std::move(*spec)};
  modality.used.assign(modality.spec.modules.size(), true);
  modality.pretrained = llm.pretrained;
  modality.checkpointing = llm.activation_checkpointing;
  modality.attention_mask = llm.attention_mask;
  read.modality = std::move(modality);
  return read;
}

Read read_encoder(const Context& context, const config::Encoder& encoder,
                  std::optional<std::int64_t> llm_hidden) {
  const std::string path = cat("model.encoders.", encoder.name);
  const ModelSource source{
      path,  encoder.name, encoder.family, encoder.pretrained, encoder.config_json, encoder.ignore_weights,
      false, &encoder};
  Read read{path, std::nullopt, &encoder.parallel, training_of(encoder, path), &encoder.lora};
  auto spec = read_model(context, source);
  if (!spec) return read;
  check_channels(context, source, *spec);
  Modality modality{.name = encoder.name, .spec = std::move(*spec)};
  add_projector(context, encoder, path, llm_hidden, modality);
  modality.projector_config = projector_config(encoder, modality.spec.modules.back());
  select_features(context, encoder, path, modality);
  if (llm_hidden) check_weights(context, source, modality.spec);
  modality.placeholder = encoder.placeholder;
  modality.pretrained = encoder.pretrained;
  modality.checkpointing = encoder.activation_checkpointing;
  read.modality = std::move(modality);
  return read;
}

/// Whether the lists leave anything of what the config asks to train.
void check_lists(const Context& context, const std::vector<Read>& reads) {
  for (const Read& read : reads) {
    if (!read.modality) return;
    const auto& modules = read.modality->spec.modules;
    if (std::any_of(modules.begin(), modules.end(), trains)) return;
  }
  for (const Read& read : reads) {
    const Training& training = read.training;
    if (!training.only && training.except.empty()) continue;
    return context.error("nothing_trains", training.path + (training.only ? ".train_only" : ".train_except"),
                         "nothing trains: these lists leave no module",
                         "name more modules under train_only, or fewer under train_except");
  }
}

/// What the config asks to train, whether or not the models could be read.
void check_training(const Context& context, const std::vector<Read>& reads) {
  const config::Model& model = context.config().model;
  const bool encoders =
      std::any_of(model.encoders.begin(), model.encoders.end(), [](const config::Encoder& encoder) {
        const bool projected = encoder.projector.type != config::ProjectorType::none;
        return encoder.train.encoder || (encoder.train.projector && projected);
      });
  if (model.llm.train || encoders) return check_lists(context, reads);
  context.error("nothing_trains", "model.llm.train", "nothing trains: every part is frozen",
                "set train: true under llm, or train: {projector: true} under an encoder");
}

void check_sharding(const Context& context, const std::vector<const Modality*>& all) {
  if (context.config().sharding != config::Sharding::zero3) return;
  for (const Modality* modality : all) {
    if (modality->stages.size() <= 1) continue;
    context.error("sharding_needs_one_stage", "sharding",
                  cat("sharding: zero3 needs modalities of one stage, '", modality->name, "' has ",
                      modality->stages.size()),
                  "use sharding: zero1, or give it one stage");
  }
}

}  // namespace

std::int64_t features_of(const Modality& encoder, const Extents& item) {
  std::int64_t places = item.places();
  for (const ModuleSpec& module : encoder.spec.modules)
    places = places_behind(module, places - (is_projector(module) ? encoder.drop_tokens : 0));
  return places;
}

std::optional<Extents> feature_grid(const Modality& encoder, const Extents& item) {
  const ModelSpec& spec = encoder.spec;
  const Extents grid{item.t, item.h / spec.patch_block, item.w / spec.patch_block};
  const bool fills =
      spec.kind == ModelKind::vision && !fixed_extents(spec) && grid.places() == features_of(encoder, item);
  return fills ? std::optional(grid) : std::nullopt;
}

std::optional<Modalities> resolve(const config::Loaded& loaded, Diagnostics& diagnostics) {
  const Context context{loaded, diagnostics};
  Read llm = read_llm(context);
  std::optional<std::int64_t> llm_hidden;
  if (llm.modality) llm_hidden = llm.modality->spec.hidden_size;

  std::vector<Read> reads;
  for (const config::Encoder& encoder : loaded.config.model.encoders) {
    reads.push_back(read_encoder(context, encoder, llm_hidden));
  }
  reads.push_back(std::move(llm));

  std::vector<const Modality*> all;
  for (const Read& read : reads) {
    if (read.modality) all.push_back(&*read.modality);
  }
  for (Read& read : reads) {
    if (!read.modality) continue;
    read_parallel(context, *read.parallel, read.path, all, *read.modality);
    resolve_lora(context, *read.lora, read.training.model, read.path, *read.modality);
    resolve_training(context, read.training, all, *read.modality);
  }
  check_sharding(context, all);
  check_placeholders(context);
  check_training(context, reads);
  check_batch(context, all);
  check_data(context);
  const bool complete = all.size() == reads.size();
  if (diagnostics.has_errors() || !complete) return std::nullopt;

  Modalities modalities;
  for (Read& read : reads) modalities.push_back(std::move(*read.modality));
  return modalities;
}

}  // namespace cornstarch::catalog
