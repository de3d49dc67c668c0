#include <algorithm>
#include <set>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "module_list.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

bool decays(const ParamSpec& param, config::NoDecay no_decay) {
  switch (no_decay) {
    case config::NoDecay::vectors:
      return param.shape.size() >= 2;
    case config::NoDecay::norms_and_biases:
      return !param.of_norm && !param.name.ends_with(".bias");
    case config::NoDecay::nothing:
      return true;
  }
  return true;
}

class Decision {
 public:
  Decision(const Context& context, const Training& training, const std::vector<const Modality*>& all,
           Modality& modality)
      : context_(context), training_(training), modality_(modality), list_(context, all, modality) {
    for (std::size_t i = 0; i < modality.spec.modules.size(); ++i)
      set_trains(modules()[i], cannot_train(i).empty());
    for (ModuleSpec& module : modules())
      for (ParamSpec& param : module.params)
        param.trains = param.trains && (param.of_adapter || !frozen_by_lora(module));
  }

  void take_lists() {
    std::optional<std::set<int>> only;
    if (training_.only)
      only = read(".train_only", *training_.only, [&](const auto&... of) { refuse(of...); });
    const std::set<int> except =
        read(".train_except", training_.except, [&](const auto&... of) { warn(of...); });
    if (!sound_) return;  // what else is wrong would follow from that
    for (int i = 0; i < std::ssize(modules()); ++i) {
      const bool left = (!only || only->count(i) > 0) && except.count(i) == 0;
      if (!left) set_trains(modules()[static_cast<std::size_t>(i)], false);
    }
    check_tied();
  }

  void take_optimizer() {
    for (ModuleSpec& module : modules())
      for (ParamSpec& param : module.params) update_as(part_of(module), param);
    warn_unused(training_.model, false);
    if (!is_llm(modality_)) warn_unused(training_.projector, true);
  }

 private:
  std::vector<ModuleSpec>& modules() { return modality_.spec.modules; }
  const PartTraining& part_of(const ModuleSpec& module) const {
    return is_projector(module) ? training_.projector : training_.model;
  }

  /// Why a module cannot train, whatever lists say; "" if it can.
  std::string cannot_train(std::size_t index) {
    const ModuleSpec& m = modules()[index];
    if (!part_of(m).trains) return cat(part_of(m).flag, " is false");
    if (!modality_.used[index]) return "its output does not reach the loss";
    const bool learns = std::any_of(m.params.begin(), m.params.end(), [&](const ParamSpec& p) {
      return !p.fixed && (p.of_adapter || !frozen_by_lora(m));
    });
    if (!learns && frozen_by_lora(m)) return "it has no adapters, and with 'lora' only these do";
    return learns ? "" : "it has no parameters that could";
  }

  bool frozen_by_lora(const ModuleSpec& module) const { return modality_.lora && !is_projector(module); }

  /// Why none of them can; "" if one can.
  std::string none_can_train(const std::vector<int>& indices) {
    std::string why;
    for (const int index : indices) {
      why = cannot_train(static_cast<std::size_t>(index));
      if (why.empty()) break;
    }
    return why;
  }

  /// The modules of a list; calls report(entry, its place, why) for an entry of which none can train.
  template <typename Report>
  std::set<int> read(const std::string& key, const std::vector<std::string>& entries, Report report) {
    std::set<int> out;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const std::string at = cat(training_.path, key, "[", i, "]");
      const ModuleList::Entry entry = list_.read(entries[i], at);
      sound_ = sound_ && entry.sound;
      out.insert(entry.modules.begin(), entry.modules.end());
      if (const std::string why = none_can_train(entry.modules); !why.empty()) report(entries[i], at, why);
    }
    return out;
  }

  void refuse(const std::string& entry, const std::string& at, const std::string& why) {
    sound_ = false;
    context_.error("never_trains", at, cat("'", entry, "' cannot train: ", why),
                   why.ends_with(" is false") ? cat("set it to true, or leave '", entry, "' out")
                                              : cat("leave '", entry, "' out"));
  }

  void warn(const std::string& entry, const std::string& at, const std::string& why) const {
    context_.warning("no_effect", at, cat("'", entry, "' does not train anyway: ", why));
  }

  /// Two modules that share a weight train together or not at all.
  void check_tied() {
    for (const ModuleSpec& m : modules())
      for (const ParamSpec& param : m.params) {
        if (param.tied_to.empty()) continue;
        const ModuleSpec& other = owner_of(param.tied_to);
        if (trains(m) == trains(other)) continue;
        context_.error("tied_modules", cat(training_.path, training_.only ? ".train_only" : ".train_except"),
                       cat("'", other.name, "' and '", m.name, "' share a weight, and only '",
                           trains(m) ? m.name : other.name, "' would train"),
                       "let both train or none");
      }
  }

  const ModuleSpec& owner_of(const std::string& param) {
    return *std::find_if(modules().begin(), modules().end(), [&](const ModuleSpec& m) {
      return std::any_of(m.params.begin(), m.params.end(), [&](const auto& p) { return p.name == param; });
    });
  }

  void update_as(const PartTraining& part, ParamSpec& param) const {
    const config::Optimizer& all = context_.config().optimizer;
    const config::PartOptimizer& own = *part.optimizer;
    param.lr_factor = own.lr.value_or(all.lr) / all.lr;
    param.weight_decay = decays(param, own.no_decay.value_or(all.no_decay))
                             ? own.weight_decay.value_or(all.weight_decay)
                             : 0.0;
  }

  void warn_unused(const PartTraining& part, bool projector) {
    const config::PartOptimizer& own = *part.optimizer;
    if (!own.lr && !own.weight_decay && !own.no_decay) return;
    const bool used = std::any_of(modules().begin(), modules().end(), [&](const ModuleSpec& m) {
      return is_projector(m) == projector && trains(m);
    });
    if (!used)
      context_.warning("no_effect", part.path, cat("'", part.path, "' has no effect: nothing of it trains"));
  }

  const Context& context_;
  const Training& training_;
  Modality& modality_;
  ModuleList list_;
  bool sound_ = true;  ///< whether the lists mean something
};

}  // namespace

void resolve_training(const Context& context, const Training& training,
                      const std::vector<const Modality*>& all, Modality& modality) {
  Decision decision(context, training, all, modality);
  decision.take_lists();
  decision.take_optimizer();
}

}  // namespace cornstarch::catalog
