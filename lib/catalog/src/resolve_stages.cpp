#include <algorithm>
#include <map>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "module_names.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

bool starts_with(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }

/// Checks the stage lists of one modality against its modules, entry by entry.
class Template {
 public:
  Template(const Context& context, const std::string& path, const std::vector<const Modality*>& all,
           const Modality& modality)
      : context_(context), path_(path), all_(all), modality_(modality), names_(names_of(modality.spec)) {
    for (std::size_t i = 0; i < names_.size(); ++i) index_[names_[i]] = static_cast<int>(i);
  }

  std::vector<std::vector<int>> read(const std::vector<std::vector<std::string>>& stages);

 private:
  void read_stage(const std::vector<std::string>& entries);
  void read_entry(const std::string& entry, const std::string& at);
  std::vector<std::string> meant_by(const std::string& entry) const;
  void report_bad_range(const std::string& entry, const std::string& at);
  void expect_kind(const std::string& beginning);
  std::optional<std::string> canonical(const std::string& name) const;
  void accept(const std::vector<std::string>& names, const std::string& at);
  void report_unknown(const std::vector<std::string>& names, const std::string& at);
  void report_missing();
  std::vector<std::string> projector_parts() const;
  std::string owner_of(const std::string& name) const;
  std::string guess(const std::string& name) const;

  const Context& context_;
  std::string path_;
  const std::vector<const Modality*>& all_;
  const Modality& modality_;
  std::vector<std::string> names_;
  std::map<std::string, int> index_;

  std::vector<std::vector<int>> stages_;
  std::map<int, std::string> first_;  ///< where a module was first listed
  int last_ = -1;                     ///< the module listed last
  std::set<std::string> meant_;       ///< modules that a misspelt entry probably meant: not missing, too
  bool sound_ = true;                 ///< whether every entry so far could be read
};

std::vector<std::vector<int>> Template::read(const std::vector<std::vector<std::string>>& stages) {
  if (stages.empty()) return {};  // reported on loading
  for (const auto& entries : stages) {
    stages_.emplace_back();
    read_stage(entries);
  }
  report_missing();
  return stages_;
}

void Template::read_stage(const std::vector<std::string>& entries) {
  const std::string at = cat(path_, ".stages[", stages_.size() - 1, "]");
  sound_ = true;
  for (std::size_t i = 0; i < entries.size(); ++i) read_entry(entries[i], cat(at, "[", i, "]"));
  if (stages_.back().empty() && sound_ && !entries.empty()) {
    context_.error("empty_stage", at,
                   cat("stage ", stages_.size() - 1, " of '", modality_.name, "' has no modules"),
                   "every stage needs at least one; leave the stage out");
  }
}

void Template::read_entry(const std::string& entry, const std::string& at) {
  const auto expanded = config::expand_module_range(entry);
  if (!expanded || config::meant_range(entry) || entry.ends_with('*')) return report_bad_range(entry, at);
  std::vector<std::string> known, unknown;
  for (const std::string& name : *expanded) {
    const auto module = canonical(name);
    if (!module) continue;
    (index_.count(*module) ? known : unknown).push_back(*module);
  }
  if (!unknown.empty()) report_unknown(unknown, at);
  accept(known, at);
}

/// The modules that a range stands for which is written as other programs do; none if it is no such range.
std::vector<std::string> Template::meant_by(const std::string& entry) const {
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

void Template::report_bad_range(const std::string& entry, const std::string& at) {
  sound_ = false;
  const std::vector<std::string> meant = meant_by(entry);
  expect_kind(meant.empty() ? entry.substr(0, entry.find("..")) : meant.front());
  context_.error("bad_module_range", at, cat("'", entry, "' is no range of modules"),
                 meant.empty() ? "a range is written as first..last, both counted in: model.layers.0..5"
                               : cat("write ", listed(meant), ": both ends are counted in"));
}

/// A range that could not be read stands for some of the layers: those are not reported as missing, too.
void Template::expect_kind(const std::string& beginning) {
  const std::string kind =
      without_number(starts_with(beginning, "module.") ? beginning.substr(7) : beginning);
  for (const std::string& name : names_) {
    if (without_number(name) == kind) meant_.insert(name);
  }
}

/// The parts of this modality's projector, as Cornstarch's users list them.
std::vector<std::string> Template::projector_parts() const {
  const auto* projector = std::get_if<Projector>(&modality_.spec.modules.back().body);
  if (projector && projector->in_proj)
    return {"projector.in_proj", "projector.activation", "projector.out_proj"};
  return {"projector.projection"};
}

/// The name that the spec uses for what Cornstarch's users write; nothing for what has no place of its own
/// here.
std::optional<std::string> Template::canonical(const std::string& name) const {
  if (is_llm(modality_)) {
    if (name == "rotary_emb" || name == "model.rotary_emb") return std::nullopt;  // computed where it is used
    return name;
  }
  std::string own = starts_with(name, "module.") ? name.substr(7) : name;
  const auto parts = projector_parts();
  if (std::count(parts.begin(), parts.end(), own) == 0) return own;
  // The parts of one projector, one after the other in one stage, are one module.
  const int index = static_cast<int>(names_.size()) - 1;
  const bool follows = last_ == index && !stages_.back().empty() && stages_.back().back() == index;
  return follows ? std::nullopt : std::optional<std::string>("projector");
}

void Template::accept(const std::vector<std::string>& names, const std::string& at) {
  std::vector<std::string> repeated;
  for (const std::string& name : names) {
    const int module = index_[name];
    if (!first_.emplace(module, at).second) {
      repeated.push_back(name);
      continue;
    }
    if (module < last_) {
      context_.error("misordered_module", at,
                     cat("'", name, "' must come before '", names_[static_cast<std::size_t>(last_)], "'"),
                     cat("the modules of '", modality_.name, "' in order: ", listed(names_)));
    }
    last_ = module;
    stages_.back().push_back(module);
  }
  if (repeated.empty()) return;
  sound_ = false;
  const SourceSpan where = context_.loaded.where.at(first_[index_[repeated.front()]]);
  context_.error("repeated_module", at, cat("'", listed(repeated), "' is listed a second time"),
                 cat("first listed at ", where.file, ":", where.line, ":", where.column));
}

/// "llama (llm)" for a module of another modality of this run, "whisper" for one of another family, or "".
std::string Template::owner_of(const std::string& name) const {
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
std::string Template::guess(const std::string& name) const {
  for (const std::string& candidate : names_) {
    const std::string end = cat(".", name);
    if (candidate.size() > end.size() &&
        candidate.compare(candidate.size() - end.size(), end.size(), end) == 0) {
      return candidate;
    }
  }
  return nearest(name, names_).value_or("");
}

void Template::report_unknown(const std::vector<std::string>& names, const std::string& at) {
  sound_ = false;
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

void Template::report_missing() {
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (!first_.count(static_cast<int>(i)) && !meant_.count(names_[i])) missing.push_back(names_[i]);
  }
  if (missing.empty()) return;
  context_.error("missing_module", path_ + ".stages",
                 cat("the stages of '", modality_.name, "' lack ", listed(missing)),
                 cat("every module must be listed once, in order: ", listed(names_)));
}

}  // namespace

std::vector<std::vector<int>> read_stages(const Context& context, const config::Parallel& parallel,
                                          const std::string& path, const std::vector<const Modality*>& all,
                                          const Modality& modality) {
  return Template(context, path, all, modality).read(parallel.stages);
}

}  // namespace cornstarch::catalog
