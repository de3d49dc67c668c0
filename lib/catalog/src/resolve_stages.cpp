#include <algorithm>
#include <map>

#include "cornstarch/base/text.h"
#include "module_list.h"
#include "module_names.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

/// Checks the stage lists of one modality against its modules, entry by entry.
class Template {
 public:
  Template(const Context& context, const std::string& path, const std::vector<const Modality*>& all,
           const Modality& modality)
      : context_(context), path_(path), modality_(modality), list_(context, all, modality) {}

  std::vector<std::vector<int>> read(const std::vector<std::vector<std::string>>& stages);

 private:
  void read_stage(const std::vector<std::string>& entries);
  void read_entry(const std::string& entry, const std::string& at);
  void accept(const std::vector<int>& modules, const std::string& at);
  void report_missing();

  const Context& context_;
  std::string path_;
  const Modality& modality_;
  ModuleList list_;

  std::vector<std::vector<int>> stages_;
  std::map<int, std::string> first_;  ///< where a module was first listed
  int last_ = -1;                     ///< the module listed last
  bool sound_ = true;                 ///< whether every entry of the stage so far could be read
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
  // The parts of one projector, one after the other in one stage, are one module.
  if (list_.is_projector_part(entry) && !stages_.back().empty() &&
      stages_.back().back() == std::ssize(list_.names()) - 1)
    return;
  const ModuleList::Entry read = list_.read(entry, at);
  sound_ = sound_ && read.sound;
  accept(read.modules, at);
}

void Template::accept(const std::vector<int>& modules, const std::string& at) {
  const std::vector<std::string>& names = list_.names();
  std::vector<std::string> repeated;
  std::string before;  // where the first of them was listed
  for (const int module : modules) {
    const std::string& name = names[static_cast<std::size_t>(module)];
    if (const auto [first, fresh] = first_.emplace(module, at); !fresh) {
      if (repeated.empty()) before = first->second;
      repeated.push_back(name);
      continue;
    }
    if (module < last_) {
      context_.error("misordered_module", at,
                     cat("'", name, "' must come before '", names[static_cast<std::size_t>(last_)], "'"),
                     cat("the modules of '", modality_.name, "' in order: ", listed(names)));
    }
    last_ = module;
    stages_.back().push_back(module);
  }
  if (repeated.empty()) return;
  sound_ = false;
  const SourceSpan where = context_.loaded.where.at(before);
  context_.error("repeated_module", at, cat("'", listed(repeated), "' is listed a second time"),
                 cat("first listed at ", where.file, ":", where.line, ":", where.column));
}

void Template::report_missing() {
  const std::vector<std::string>& names = list_.names();
  std::vector<std::string> missing;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!first_.count(static_cast<int>(i)) && !list_.meant().count(names[i])) missing.push_back(names[i]);
  }
  if (missing.empty()) return;
  context_.error("missing_module", path_ + ".stages",
                 cat("the stages of '", modality_.name, "' lack ", listed(missing)),
                 cat("every module must be listed once, in order: ", listed(names)));
}

}  // namespace

std::vector<std::vector<int>> read_stages(const Context& context, const config::Parallel& parallel,
                                          const std::string& path, const std::vector<const Modality*>& all,
                                          const Modality& modality) {
  return Template(context, path, all, modality).read(parallel.stages);
}

}  // namespace cornstarch::catalog
