#include "module_list.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "module_names.h"

namespace cornstarch::catalog {
namespace {

bool starts_with(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }

/// A name without the prefix that Cornstarch's users give those of an encoder.
std::string without_prefix(const std::string& name) {
  return starts_with(name, "module.") ? name.substr(7) : name;
}

}  // namespace

ModuleList::ModuleList(const Context& context, const std::vector<const Modality*>& all,
                       const Modality& modality)
    : context_(context), all_(all), modality_(modality), names_(names_of(modality.spec)) {
  for (std::size_t i = 0; i < names_.size(); ++i) index_[names_[i]] = static_cast<int>(i);
}

ModuleList::Entry ModuleList::read(const std::string& entry, const std::string& at) {
  const auto expanded = config::expand_module_range(entry);
  if (!expanded || config::meant_range(entry) || entry.ends_with('*')) {
    report_bad_range(entry, at);
    return {{}, false};
  }
  Entry out;
  std::vector<std::string> unknown;
  for (const std::string& name : *expanded) {
    const auto module = canonical(name);
    if (!module) continue;
    const auto found = index_.find(*module);
    if (found == index_.end()) {
      unknown.push_back(*module);
    } else {
      out.modules.push_back(found->second);
    }
  }
  out.sound = unknown.empty();
  if (!out.sound) report_unknown(unknown, at);
  return out;
}

bool ModuleList::is_projector_part(const std::string& name) const {
  const auto parts = projector_parts();
  return !is_llm(modality_) && std::count(parts.begin(), parts.end(), without_prefix(name)) > 0;
}

/// The name that the spec uses for what Cornstarch's users write; nothing for what has no place of its own
/// here.
std::optional<std::string> ModuleList::canonical(const std::string& name) const {
  if (is_llm(modality_)) {
    if (name == "rotary_emb" || name == "model.rotary_emb") return std::nullopt;  // computed where it is used
    return name;
  }
  return is_projector_part(name) ? "projector" : without_prefix(name);
}

/// The modules that a range stands for which is written as other programs do; none if it is no such range.
std::vector<std::string> ModuleList::meant_by(const std::string& entry) const {
  if (entry.ends_with('*')) {
    const auto all = config::expand_module_range(siblings(entry.substr(0, entry.size() - 1) + "0", names_));
    return all && !all->front().empty() ? *all : std::vector<std::string>();
  }
  const auto meant = config::meant_range(entry);
  std::vector<std::string> names = meant ? *config::expand_module_range(*meant) : std::vector<std::string>();
  for (std::string& name : names) {
    if (!index_.count(name) && !guess(name).empty()) name = guess(name);
  }
  return names;
}

void ModuleList::report_bad_range(const std::string& entry, const std::string& at) {
  const std::vector<std::string> meant = meant_by(entry);
  expect_kind(meant.empty() ? entry.substr(0, entry.find("..")) : meant.front());
  context_.error("bad_module_range", at, cat("'", entry, "' is no range of modules"),
                 meant.empty() ? "a range is written as first..last, both counted in: model.layers.0..5"
                               : cat("write ", listed(meant), ": both ends are counted in"));
}

/// A range that could not be read stands for some of the layers: those are not reported as missing, too.
void ModuleList::expect_kind(const std::string& beginning) {
  const std::string kind = without_number(without_prefix(beginning));
  for (const std::string& name : names_) {
    if (without_number(name) == kind) meant_.insert(name);
  }
}

/// The parts of this modality's projector, as Cornstarch's users list them.
std::vector<std::string> ModuleList::projector_parts() const {
  const auto* projector = std::get_if<Projector>(&modality_.spec.modules.back().body);
  if (projector && projector->in_proj)
    return {"projector.in_proj", "projector.activation", "projector.out_proj"};
  return {"projector.projection"};
}

/// "llama (llm)" for a module of another modality of this run, "whisper" for one of another family, or "".
std::string ModuleList::owner_of(const std::string& name) const {
  if (name == "projector" || starts_with(name, "projector.")) return "an encoder";
  const std::string kind = without_number(name);
  for (const Modality* other : all_) {
    if (other == &modality_) continue;
    for (const ModuleSpec& module : other->spec.modules) {
      if (without_number(module.name) == kind) return cat(other->spec.family, " (", other->name, ")");
    }
  }
  for (const FamilyInfo& info : families()) {
    if (info.name == modality_.spec.family) continue;
    const SpecResult typical = make_spec(info.name, "{}");
    for (const ModuleSpec& module : typical.spec->modules) {
      if (without_number(module.name) == kind) return info.name;
    }
  }
  return "";
}

/// The module that was probably meant: one whose end was written, or the nearest.
std::string ModuleList::guess(const std::string& name) const {
  for (const std::string& candidate : names_) {
    const std::string end = cat(".", name);
    if (candidate.size() > end.size() &&
        candidate.compare(candidate.size() - end.size(), end.size(), end) == 0) {
      return candidate;
    }
  }
  return nearest(name, names_).value_or("");
}

void ModuleList::report_unknown(const std::vector<std::string>& names, const std::string& at) {
  const std::string shown = listed(names);
  const std::string no_such = cat("'", modality_.name, "' has no module '", shown, "'");
  if (const std::string own = siblings(names.front(), names_); !own.empty()) {
    context_.error("unknown_module", at, no_such, cat("it has ", own));
    return;
  }
  if (!is_llm(modality_) && starts_with(names.front(), "projector")) {
    meant_.insert("projector");
    context_.error("unknown_module", at, no_such,
                   cat("write 'projector', or its parts: ", join(projector_parts(), ", ")));
    return;
  }
  if (const std::string owner = owner_of(names.front()); !owner.empty()) {
    context_.error("foreign_module", at,
                   cat("'", shown, "' is no module of '", modality_.name, "': it belongs to ", owner),
                   cat("the modules of '", modality_.name, "': ", listed(names_)));
    return;
  }
  std::vector<std::string> guesses;
  for (const std::string& name : names) {
    const std::string meant = guess(name);
    if (!meant.empty() && meant_.insert(meant).second) guesses.push_back(meant);
  }
  context_.error(
      "unknown_module", at, no_such,
      guesses.empty() ? cat("its modules: ", listed(names_)) : cat("did you mean '", listed(guesses), "'?"));
}

}  // namespace cornstarch::catalog
