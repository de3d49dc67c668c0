#pragma once

#include <cstdint>
#include <optional>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/model_spec.h"

/// What the house asks of a module whatever its kind. A kind answers all of it in one place, module_kind.cpp:
/// one that forgets an answer does not compile. Besides, `models` has a builder for each.
namespace cornstarch::catalog {

/// A module's part in its model.
enum class Role {
  entry,      ///< makes hidden states, or fewer of them: always runs
  layer,      ///< one of num_layers: may compute again in backward, its rows may be dealt to the ranks of tp
  norm,       ///< belongs to what stands before it
  head,       ///< works on the tokens that have a target
  projector,  ///< works on the tokens that feature_select leaves
};

Role role_of(const ModuleSpec& module);
inline bool is_layer(const ModuleSpec& module) { return role_of(module) == Role::layer; }
inline bool is_projector(const ModuleSpec& module) { return role_of(module) == Role::projector; }

/// How its tokens see each other; null where each stands alone.
const AttentionSpec* attention_of(const ModuleSpec& module);

/// Whether the features come through it: CLIP's last norm feeds the pooled output only.
bool feeds_features(const ModuleSpec& module);

/// Of a forward, matrix products only.
struct Flops {
  double per_place = 0;    ///< of those behind the module: 2 x the elements of its linear layers
  double per_pair = 0;     ///< attended (query, key) pair: 4 x heads x head_dim
  double of_adapters = 0;  ///< in per_place
};
Flops flops_of(const ModuleSpec& module);

// An item on its way through an encoder. Its places are its frames or patches, later its tokens.

/// Which dimension of what the module takes, [n, ...], are places that context parallelism may deal; nothing
/// where every rank needs all of an item.
std::optional<int> place_dim(const ModuleSpec& module);

/// How many places behind the module always go to one rank.
std::int64_t dealt_together(const ModuleSpec& module);

/// Places behind the module, of so many in front of it.
std::int64_t places_behind(const ModuleSpec& module, std::int64_t before);

/// The places in front of the module, of `before`, that it takes to give those in `behind`.
Range places_before(const ModuleSpec& module, Range behind, std::int64_t before);

/// The extents of every item where this module comes first and takes one size only; nothing where each item
/// has its own. `item_shape` is the spec's.
std::optional<Extents> extents_taken(const ModuleSpec& first, const Shape& item_shape);

/// The shape of an item, or of a rank's `places` of it, behind the module.
Shape shape_behind(const ModuleSpec& module, Shape before, std::int64_t places);

/// The extents of every item of an encoder, or nothing where each has its own. Then hidden states are
/// [1, places, width], an item's places behind those of the one before.
std::optional<Extents> fixed_extents(const ModelSpec& encoder);

/// Places of an item behind the encoder's last module.
std::int64_t last_places(const ModelSpec& encoder, const Extents& item);

}  // namespace cornstarch::catalog
