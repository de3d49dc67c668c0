#include "cornstarch/catalog/module_kind.h"

#include <algorithm>
#include <type_traits>

namespace cornstarch::catalog {
namespace {

double flops_of(const LinearSpec& linear) {
  return 2.0 * static_cast<double>(linear.in) * static_cast<double>(linear.out);
}

// Answers that several kinds share.

struct EachPlaceAlone {
  static std::int64_t dealt_together(const auto&) { return 1; }
  static std::int64_t places_behind(const auto&, std::int64_t before) { return before; }
  static Range places_before(const auto&, Range behind, std::int64_t) { return behind; }
};
struct KeepsShape {
  static Shape shape_behind(const auto&, Shape before, std::int64_t) { return before; }
};
struct NoAttention {
  static const AttentionSpec* attention(const auto&) { return nullptr; }
};
struct FeedsFeatures {
  static bool feeds_features(const auto&) { return true; }
};
struct NoProducts {
  static Flops flops(const auto&) { return {}; }
};
struct AnyExtents {
  static std::optional<Extents> extents(const auto&, const Shape&) { return std::nullopt; }
};
/// [n, places, width].
struct TakesTokens {
  static std::optional<int> place_dim(const auto&) { return 1; }
};
/// [n, channels, places].
struct TakesFrames {
  static std::optional<int> place_dim(const auto&) { return 2; }
};

/// The answers of a kind.
template <typename Body>
struct Kind;

template <>
struct Kind<TokenEmbedding>
    : EachPlaceAlone, KeepsShape, NoAttention, FeedsFeatures, NoProducts, TakesTokens, AnyExtents {
  static constexpr Role role = Role::entry;
};

template <>
struct Kind<PatchEmbedding> : NoAttention, FeedsFeatures {
  static constexpr Role role = Role::entry;
  static std::int64_t dealt_together(const PatchEmbedding&) { return 1; }
  static Flops flops(const PatchEmbedding& p) {
    return {flops_of(LinearSpec{"", p.channels * p.patch_size * p.patch_size, p.hidden})};
  }
  static std::optional<int> place_dim(const PatchEmbedding&) { return std::nullopt; }
  static std::int64_t places_behind(const PatchEmbedding& p, std::int64_t) {
    return p.leading() + p.patches();
  }
  static std::optional<Extents> extents(const PatchEmbedding& p, const Shape&) {
    return Extents{1, p.side(), p.side()};
  }
  static Range places_before(const PatchEmbedding&, Range, std::int64_t before) { return {0, before}; }
  static Shape shape_behind(const PatchEmbedding& p, const Shape&, std::int64_t places) {
    return {places, p.hidden};
  }
};

template <>
struct Kind<PatchRows> : EachPlaceAlone, NoAttention, FeedsFeatures, TakesTokens, AnyExtents {
  static constexpr Role role = Role::entry;
  static Flops flops(const PatchRows& p) { return {flops_of(LinearSpec{"", p.values(), p.hidden})}; }
  static Shape shape_behind(const PatchRows& p, const Shape&, std::int64_t places) {
    return {places, p.hidden};
  }
};

template <>
struct Kind<Conv1d> : NoAttention, FeedsFeatures, TakesFrames {
  static constexpr Role role = Role::entry;
  static std::int64_t dealt_together(const Conv1d&) { return 1; }
  static Flops flops(const Conv1d& c) { return {3 * flops_of(LinearSpec{"", c.in, c.out})}; }
  static std::int64_t places_behind(const Conv1d& c, std::int64_t before) {
    return (before - 1) / c.stride + 1;
  }
  static Range places_before(const Conv1d& c, Range behind, std::int64_t before) {
    return {std::max<std::int64_t>(0, behind.begin * c.stride - 1),
            std::min(before, (behind.end - 1) * c.stride + 2)};
  }
  static std::optional<Extents> extents(const Conv1d&, const Shape& item_shape) {
    return Extents{1, 1, item_shape.at(1)};
  }
  static Shape shape_behind(const Conv1d& c, const Shape&, std::int64_t places) { return {c.out, places}; }
};

template <>
struct Kind<AddPositions> : EachPlaceAlone, NoAttention, FeedsFeatures, NoProducts, TakesFrames {
  static constexpr Role role = Role::entry;
  static std::optional<Extents> extents(const AddPositions& a, const Shape&) {
    return Extents{1, 1, a.positions};
  }
  static Shape shape_behind(const AddPositions& a, const Shape&, std::int64_t places) {
    return {places, a.hidden};
  }
};

template <>
struct Kind<BlockSpec> : EachPlaceAlone, KeepsShape, FeedsFeatures, TakesTokens, AnyExtents {
  static constexpr Role role = Role::layer;
  static const AttentionSpec* attention(const BlockSpec& b) { return &b.attention; }
  static Flops flops(const BlockSpec& b) {
    const AttentionSpec& a = b.attention;
    Flops sum{0, 4.0 * static_cast<double>(a.heads) * static_cast<double>(a.head_dim)};
    for (const LinearSpec* linear : linears_of(b)) {
      const double adapter =
          linear->lora ? 2.0 * static_cast<double>(linear->lora->rank * (linear->in + linear->out)) : 0;
      sum.per_place += flops_of(*linear) + adapter;
      sum.of_adapters += adapter;
    }
    return sum;
  }
};

template <>
struct Kind<AvgPool> : NoAttention, FeedsFeatures, NoProducts, TakesTokens, AnyExtents {
  static constexpr Role role = Role::entry;
  // Of several rows, squares of one row of them need the same rows.
  static std::int64_t dealt_together(const AvgPool& p) { return p.rows == 1 ? 1 : p.pooled_columns(); }
  static std::int64_t places_behind(const AvgPool& p, std::int64_t) { return p.places(); }
  /// With the first ones what stands in front of the grid, with the last ones what fills no square.
  static Range places_before(const AvgPool& p, Range behind, std::int64_t before) {
    const std::int64_t front = before - p.rows * p.columns;
    const auto grid = [&](std::int64_t places) {
      return p.rows == 1 ? places * p.column_stride : places / p.pooled_columns() * p.row_stride * p.columns;
    };
    return {behind.begin == 0 ? 0 : front + grid(behind.begin),
            behind.end == p.places() ? before : front + grid(behind.end)};
  }
  static Shape shape_behind(const AvgPool&, const Shape& before, std::int64_t places) {
    return {places, before.at(1)};
  }
};

template <>
struct Kind<Norm> : EachPlaceAlone, KeepsShape, NoAttention, NoProducts, TakesTokens, AnyExtents {
  static constexpr Role role = Role::norm;
  static bool feeds_features(const Norm& n) { return !n.pooled_only; }
};

template <>
struct Kind<LmHead> : EachPlaceAlone, KeepsShape, NoAttention, FeedsFeatures, TakesTokens, AnyExtents {
  static constexpr Role role = Role::head;
  static Flops flops(const LmHead& h) { return {flops_of(h.linear)}; }
};

template <>
struct Kind<Projector> : NoAttention, FeedsFeatures, TakesTokens, AnyExtents {
  static constexpr Role role = Role::projector;
  using Pool = Kind<AvgPool>;
  static std::int64_t dealt_together(const Projector& p) {
    return p.pool ? Pool::dealt_together(*p.pool) : 1;
  }
  static std::int64_t places_behind(const Projector& p, std::int64_t before) {
    return (p.pool ? p.pool->places() : before) / p.merged;
  }
  static Range places_before(const Projector& p, Range behind, std::int64_t before) {
    const Range parts = {behind.begin * p.merged, behind.end * p.merged};
    return p.pool ? Pool::places_before(*p.pool, parts, before) : parts;
  }
  static Flops flops(const Projector& p) {
    if (p.identity) return {};
    return {(p.in_proj ? flops_of(*p.in_proj) : 0) + flops_of(p.out_proj)};
  }
  static Shape shape_behind(const Projector& p, const Shape&, std::int64_t places) {
    return {places, p.out_proj.out};
  }
};

template <>
struct Kind<Merger> : NoAttention, FeedsFeatures, TakesTokens, AnyExtents {
  static constexpr Role role = Role::entry;
  using Rows = Kind<Projector>;
  static std::int64_t dealt_together(const Merger& m) { return Rows::dealt_together(m.rows); }
  static std::int64_t places_behind(const Merger& m, std::int64_t before) {
    return Rows::places_behind(m.rows, before);
  }
  static Range places_before(const Merger& m, Range behind, std::int64_t before) {
    return Rows::places_before(m.rows, behind, before);
  }
  static Flops flops(const Merger& m) { return Rows::flops(m.rows); }
  static Shape shape_behind(const Merger& m, const Shape& before, std::int64_t places) {
    return Rows::shape_behind(m.rows, before, places);
  }
};

/// ask(the module's kind, its body).
template <typename Ask>
auto of(const ModuleSpec& module, Ask ask) {
  return std::visit([&](const auto& body) { return ask(Kind<std::decay_t<decltype(body)>>{}, body); },
                    module.body);
}

}  // namespace

Role role_of(const ModuleSpec& module) {
  return of(module, [](auto kind, const auto&) { return kind.role; });
}

const AttentionSpec* attention_of(const ModuleSpec& module) {
  return of(module, [](auto kind, const auto& body) { return kind.attention(body); });
}

bool feeds_features(const ModuleSpec& module) {
  return of(module, [](auto kind, const auto& body) { return kind.feeds_features(body); });
}

Flops flops_of(const ModuleSpec& module) {
  return of(module, [](auto kind, const auto& body) { return kind.flops(body); });
}

std::optional<int> place_dim(const ModuleSpec& module) {
  return of(module, [](auto kind, const auto& body) { return kind.place_dim(body); });
}

std::int64_t dealt_together(const ModuleSpec& module) {
  return of(module, [](auto kind, const auto& body) { return kind.dealt_together(body); });
}

std::int64_t places_behind(const ModuleSpec& module, std::int64_t before) {
  return of(module, [&](auto kind, const auto& body) { return kind.places_behind(body, before); });
}

Range places_before(const ModuleSpec& module, Range behind, std::int64_t before) {
  return of(module, [&](auto kind, const auto& body) { return kind.places_before(body, behind, before); });
}

std::optional<Extents> extents_taken(const ModuleSpec& first, const Shape& item_shape) {
  return of(first, [&](auto kind, const auto& body) { return kind.extents(body, item_shape); });
}

Shape shape_behind(const ModuleSpec& module, Shape before, std::int64_t places) {
  return of(module,
            [&](auto kind, const auto& body) { return kind.shape_behind(body, std::move(before), places); });
}

std::optional<Extents> fixed_extents(const ModelSpec& encoder) {
  return extents_taken(encoder.modules.front(), encoder.item_shape);
}

std::int64_t last_places(const ModelSpec& encoder, const Extents& item) {
  std::int64_t places = item.places();
  for (const ModuleSpec& module : encoder.modules) places = places_behind(module, places);
  return places;
}

}  // namespace cornstarch::catalog
