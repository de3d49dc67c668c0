#include <algorithm>
#include <numeric>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

/// "1, 2 or 4": the common divisors of the head counts.
std::string divisors(std::int64_t heads, std::int64_t kv_heads) {
  const std::int64_t common = std::gcd(heads, kv_heads);
  std::vector<std::string> out;
  for (std::int64_t n = 1; n <= common && out.size() < 32; ++n) {
    if (common % n == 0) out.push_back(std::to_string(n));
  }
  if (out.size() == 1) return out[0];
  const std::string last = out.back();
  out.pop_back();
  return cat(join(out, ", "), " or ", last);
}

/// The kind of heads that `parts` does not divide, with their number, or "".
std::string indivisible(const ModelSpec& spec, std::int64_t parts) {
  if (spec.heads % parts != 0) return cat(spec.heads, " attention heads");
  if (spec.kv_heads % parts != 0) return cat(spec.kv_heads, " key/value heads");
  return "";
}

void check_tp(const Context& context, const std::string& path, const Modality& modality) {
  const ModelSpec& spec = modality.spec;
  if (const std::string heads = indivisible(spec, modality.tp); !heads.empty()) {
    context.error("heads_not_divisible", path + ".tp",
                  cat("the ", heads, " of '", modality.name, "' cannot be split over tp ", modality.tp),
                  cat("tp can be ", divisors(spec.heads, spec.kv_heads)));
    return;
  }
  for (const ModuleSpec& module : spec.modules) {
    for (const ParamSpec& param : module.params) {
      if (param.split.dim < 0) continue;
      const std::int64_t units = param.shape[static_cast<std::size_t>(param.split.dim)] / param.split.unit;
      if (units >= modality.tp) continue;
      context.error("tp_too_large", path + ".tp",
                    cat("'", param.name, "' of '", modality.name, "' has only ", units,
                        units == 1 ? " part" : " parts", " to split over tp ", modality.tp));
      return;
    }
  }
}

void check_sp(const Context& context, const std::string& path, const Modality& modality) {
  // Every rank of an encoder takes a part of each item.
  if (const auto item = is_llm(modality) ? std::nullopt : fixed_extents(modality.spec)) {
    const std::int64_t rows = dealt_together(modality.spec.modules.back());
    const std::int64_t parts = last_places(modality.spec, *item) / rows;
    if (parts < modality.sp)
      return context.error(
          "sp_too_large", path + ".sp",
          cat("an item of '", modality.name, "' has only ", parts, rows > 1 ? " rows of averages" : " tokens",
              " to split over sp ", modality.sp));
  }
  // Without a mode there is an error from loading, and nothing to check against.
  if (modality.mode != config::SpMode::all_to_all || !context.loaded.where.has(path + ".mode")) return;
  const std::int64_t parts = std::int64_t{modality.tp} * modality.sp;
  // Where tp does not divide the heads, that was said.
  const std::string heads = indivisible(modality.spec, parts);
  if (heads.empty() || !indivisible(modality.spec, modality.tp).empty()) return;
  context.error("heads_not_divisible", path + ".sp",
                cat("the ", heads, " of '", modality.name, "' cannot be split over tp ", modality.tp,
                    " x sp ", modality.sp),
                "mode: all_to_all deals whole heads to every rank; ring_attn does not");
}

/// A stage whose modules are all behind the features that are taken.
void warn_of_idle_stages(const Context& context, const std::string& path, const Modality& modality) {
  for (std::size_t s = 0; s < modality.stages.size(); ++s) {
    bool used = modality.stages[s].empty();
    for (const int module : modality.stages[s])
      used = used || modality.used[static_cast<std::size_t>(module)];
    if (used) continue;
    context.warning("idle_stage", cat(path, ".stages[", s, "]"),
                    cat("nothing that stage ", s, " of '", modality.name, "' computes is used"),
                    "its ranks only pass on what they receive");
  }
}

}  // namespace

void read_parallel(const Context& context, const std::optional<config::Parallel>& parallel,
                   const std::string& path, const std::vector<const Modality*>& all, Modality& modality) {
  if (context.config().layout == config::Layout::single) return;  // every rank is a whole replica
  if (!parallel) {
    context.error("missing_parallel", path, cat("'", modality.name, "' has no 'parallel'"),
                  "say how it is laid out (tp and stages), or run with layout: single");
    return;
  }
  const std::string own = path + ".parallel";
  modality.tp = std::max(1, parallel->tp);
  modality.sp = std::max(1, parallel->sp);
  if (modality.sp > 1) modality.mode = parallel->mode;
  modality.distribution = parallel->distribution;
  modality.tp_sequence_parallel = parallel->tp_sequence_parallel && modality.tp > 1;
  check_tp(context, own, modality);
  check_sp(context, own, modality);
  modality.stages = read_stages(context, *parallel, own, all, modality);
  warn_of_idle_stages(context, own, modality);
}

}  // namespace cornstarch::catalog
