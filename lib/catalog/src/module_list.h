#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "resolve_context.h"

namespace cornstarch::catalog {

/// Lists of a modality's modules in a config, read entry by entry; what is wrong with one is reported, with
/// what was probably meant.
class ModuleList {
 public:
  /// `all`: the modalities of the run that could be read.
  ModuleList(const Context& context, const std::vector<const Modality*>& all, const Modality& modality);

  struct Entry {
    std::vector<int> modules;  ///< those that are known
    bool sound = true;         ///< whether all are
  };
  Entry read(const std::string& entry, const std::string& at);

  const std::vector<std::string>& names() const { return names_; }
  /// Modules that entries which could not be read probably meant.
  const std::set<std::string>& meant() const { return meant_; }
  /// Whether a name is that of a part of the projector, as Cornstarch's users list them.
  bool is_projector_part(const std::string& name) const;

 private:
  std::vector<std::string> meant_by(const std::string& entry) const;
  void report_bad_range(const std::string& entry, const std::string& at);
  void expect_kind(const std::string& beginning);
  std::optional<std::string> canonical(const std::string& name) const;
  void report_unknown(const std::vector<std::string>& names, const std::string& at);
  std::vector<std::string> projector_parts() const;
  std::string owner_of(const std::string& name) const;
  std::string guess(const std::string& name) const;

  const Context& context_;
  const std::vector<const Modality*>& all_;
  const Modality& modality_;
  std::vector<std::string> names_;
  std::map<std::string, int> index_;
  std::set<std::string> meant_;
};

}  // namespace cornstarch::catalog
