#include "parameters.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <variant>

#include "cornstarch/base/result.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/shard.h"
#include "initial_value.h"

namespace cornstarch::models {
namespace {

const catalog::ParamSpec& find_spec(const catalog::ModelSpec& model, const std::string& name) {
  for (const catalog::ModuleSpec& module : model.modules) {
    for (const catalog::ParamSpec& param : module.params) {
      if (param.name == name) return param;
    }
  }
  throw Failure(ExitCode::internal, cat("the ", model.family, " family has no parameter ", name));
}

Parameter make_parameter(const catalog::Modality& modality, const catalog::ParamSpec& spec,
                         std::size_t module, const comm::Group& tp, const StageOptions& options) {
  Parameter p;
  p.modality = modality.name;
  p.spec = &spec;
  p.split_dim = spec.split.dim;
  p.offset = catalog::part_of(spec, tp.size(), tp.rank()).begin;
  p.trains = spec.trains;
  p.partial_over_tp = plan::partial_over_tp(options.where, modality.spec.modules.at(module), spec);
  p.counts = p.split_dim >= 0 || tp.rank() == 0;
  if (!spec.tied_to.empty()) p.tied_to = modality.name + "/" + spec.tied_to;
  const catalog::Shape shape = catalog::shard_shape(spec, tp.size(), tp.rank());
  const at::ScalarType dtype = p.trains && options.wide_first ? at::kFloat : options.dtype;
  p.value = at::empty(shape, at::TensorOptions(options.device).dtype(dtype));
  if (options.draws) draw(p, modality, options.seed, {0, p.value.numel()});
  p.value.set_requires_grad(p.trains);
  return p;
}

}  // namespace

void draw(Parameter& p, const catalog::Modality& modality, std::uint64_t seed, Range elements) {
  const at::NoGradGuard no_grad;
  const catalog::ParamSpec& spec = p.tied_to.empty() ? *p.spec : find_spec(modality.spec, p.spec->tied_to);
  Range part;
  if (p.split_dim >= 0) part = {p.offset, p.offset + p.value.size(p.split_dim)};
  write_initial_value({spec, modality.name + "/" + spec.name, seed, p.split_dim, part}, elements,
                      p.value.detach().view(-1).narrow(0, elements.begin, elements.size()));
}

ParameterSet::ParameterSet(const catalog::Modality& modality, const std::vector<int>& modules,
                           const comm::Group& tp, const StageOptions& options) {
  for (const int m : modules) {
    const auto module = static_cast<std::size_t>(m);
    for (const catalog::ParamSpec& spec : modality.spec.modules.at(module).params) {
      const auto original = index_.find(spec.tied_to);
      if (original != index_.end()) {
        index_[spec.name] = original->second;
        continue;
      }
      index_[spec.name] = list_.size();
      list_.push_back(make_parameter(modality, spec, module, tp, options));
    }
  }
}

const Parameter& ParameterSet::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) throw Failure(ExitCode::internal, cat("this stage has no parameter ", name));
  return list_[found->second];
}

at::Tensor ParameterSet::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? at::Tensor() : list_[found->second].value;
}

Range ParameterSet::part(const std::string& name) const {
  const Parameter& p = at(name);
  if (p.split_dim < 0) throw Failure(ExitCode::internal, cat(name, " is not split"));
  return {p.offset, p.offset + p.value.size(p.split_dim)};
}

}  // namespace cornstarch::models
