#pragma once

#include <map>
#include <string>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/models/stage.h"

namespace cornstarch::models {

/// Writes these elements of a shard's initial value, drawn from seed and name.
void draw(Parameter& p, const catalog::Modality& modality, std::uint64_t seed, Range elements);

/// The parameters of one rank's stage: in order, and by name for the layers.
class ParameterSet {
 public:
  ParameterSet(const catalog::Modality& modality, const std::vector<int>& modules, const comm::Group& tp,
               const StageOptions& options);

  std::vector<Parameter>& list() { return list_; }

  /// The shard called `name` in the spec; a tied parameter gives the one it is tied to.
  const Parameter& at(const std::string& name) const;
  /// Its value, or an undefined tensor if there is no parameter of that name (a layer without a bias).
  at::Tensor find(const std::string& name) const;
  /// Its place along its split dimension.
  Range part(const std::string& name) const;

 private:
  std::vector<Parameter> list_;
  std::map<std::string, std::size_t> index_;
};

}  // namespace cornstarch::models
