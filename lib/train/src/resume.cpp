#include "resume.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <map>
#include <set>

#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/config/load.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kParameter = "parameter/";

/// What decides which samples a step takes, and what frozen parameters that were drawn are.
constexpr std::string_view kFixed[] = {"seed", "data.shuffle", "optimizer.type"};

std::string shown(const config::Change& change) {
  const auto value = [](const std::string& text) { return text.empty() ? std::string("nothing") : text; };
  return cat(change.key, ": ", value(change.before), " -> ", value(change.after));
}

/// The parameters that train, by modality.
std::map<std::string, std::set<std::string>> trained(const catalog::Modalities& modalities) {
  std::map<std::string, std::set<std::string>> out;
  for (const catalog::Modality& m : modalities) {
    auto& names = out[m.name];
    for (const catalog::ModuleSpec& module : m.spec.modules)
      for (const catalog::ParamSpec& p : module.params)
        if (p.trains && p.tied_to.empty()) names.insert(p.name);
  }
  return out;
}

std::map<std::string, std::set<std::string>> saved(const checkpoint::Checkpoint& from) {
  std::map<std::string, std::set<std::string>> out;
  for (const auto& [name, _] : from.tensors()) {
    if (!name.starts_with(kParameter)) continue;
    const std::string rest = name.substr(kParameter.size());
    const std::size_t slash = rest.find('/');
    if (slash != std::string::npos) out[rest.substr(0, slash)].insert(rest.substr(slash + 1));
  }
  return out;
}

using Names = std::set<std::string>;

Names without(const Names& all, const Names& others) {
  Names out;
  std::ranges::set_difference(all, others, std::inserter(out, out.end()));
  return out;
}

Result<void> check_fixed(const std::string& where, const std::vector<config::Change>& changes) {
  std::vector<std::string> bad;
  for (const config::Change& change : changes)
    if (std::ranges::find(kFixed, change.key) != std::end(kFixed)) bad.push_back(shown(change));
  if (bad.empty()) return {};
  return fail(
      ExitCode::usage, cat("the run cannot go on from ", where, " with another ", join(bad, ", ")),
      "set it as it was, or start a run of its own from the model: cornstarch-train checkpoint export");
}

/// That what does not train is still what it was.
Result<void> check_references(const checkpoint::Checkpoint& from, const catalog::Modalities& modalities) {
  for (const checkpoint::Reference& reference : from.manifest().references)
    for (const catalog::Modality& m : modalities) {
      if (m.name != reference.modality) continue;
      if (!m.pretrained)
        return fail(ExitCode::usage,
                    cat("what does not train of ", m.name, " came from '", reference.folder,
                        "' and would be drawn at random"),
                    "give it 'pretrained' as it had, or start a run of its own");
      const auto same = checkpoint::check_reference(reference, catalog::place_of(*m.pretrained).folder);
      if (!same)
        return fail(ExitCode::usage, same.error().message,
                    "give the run the weights that it began with, or start a run of its own");
    }
  return {};
}

/// That what both have is of one size.
Result<void> check_shapes(const checkpoint::Checkpoint& from, const std::string& where,
                          const catalog::Modalities& modalities) {
  std::int64_t others = 0;
  std::string first;
  for (const catalog::Modality& m : modalities)
    for (const catalog::ModuleSpec& module : m.spec.modules)
      for (const catalog::ParamSpec& p : module.params) {
        const auto found = from.tensors().find(cat(kParameter, m.name, "/", p.name));
        if (!p.trains || found == from.tensors().end() || found->second.shape == p.shape) continue;
        if (++others == 1)
          first = cat(m.name, "/", p.name, ": ", describe_shape(found->second.shape), " there, ",
                      describe_shape(p.shape), " here");
      }
  if (others == 0) return {};
  return fail(ExitCode::usage,
              cat("the run cannot go on from ", where, ": ", others,
                  " parameters are of another shape, the first of them ", first),
              "set the model and the rank of its adapters as they were, or start a run of its own");
}

/// What happens to the parameters that only one of the two has.
Result<std::vector<std::string>> compare_parameters(const checkpoint::Checkpoint& from,
                                                    const std::string& where,
                                                    const catalog::Modalities& modalities) {
  std::vector<std::string> out;
  auto before = saved(from);
  for (const auto& [modality, names] : trained(modalities)) {
    const auto found = before.find(modality);
    if (found == before.end()) {
      if (!names.empty())
        out.push_back(cat("nothing of ", modality, " is in ", where, ": it begins with its first values"));
      continue;
    }
    if (const Names lost = without(found->second, names); !lost.empty())
      return fail(
          ExitCode::usage,
          cat(lost.size(), " parameters of ", modality, " trained in ", where,
              " and do not train here, the first of them ", *lost.begin()),
          "let them train, or start a run of its own from the model: cornstarch-train checkpoint export");
    if (const Names fresh = without(names, found->second); !fresh.empty())
      out.push_back(cat(fresh.size(), " parameters of ", modality, " did not train in ", where,
                        ", the first of them ", *fresh.begin(), ": they begin with their first values"));
    before.erase(found);
  }
  for (const auto& [modality, _] : before)
    out.push_back(cat("what ", where, " has of ", modality, " is left out: this run has no such modality"));
  return out;
}

/// A number that rank 0 knows.
std::int64_t from_rank_0(comm::Communicator& comm, at::Device device, std::int64_t number) {
  const at::Tensor shared = at::full({1}, number, at::TensorOptions(device).dtype(at::kLong));
  comm.world()->broadcast(shared, 0);
  comm.check();
  return shared.item<std::int64_t>();
}

bool on_all_ranks(comm::Communicator& comm, at::Device device, bool good) {
  const at::Tensor bad = at::full({1}, good ? 0 : 1, at::TensorOptions(device).dtype(at::kLong));
  comm.world()->all_reduce(bad, comm::Reduce::max);
  comm.check();
  return bad.item<std::int64_t>() == 0;
}

/// Rank 0's list of what there is, the newest first; why something is none is said.
std::vector<std::int64_t> candidates(const fs::path& dir) {
  std::vector<std::int64_t> out;
  for (const checkpoint::Listed& each : checkpoint::list(dir)) {
    if (each.manifest) {
      out.push_back(each.step);
    } else {
      log::warning(cat("no checkpoint: ", each.manifest.error().message));
    }
  }
  return out;
}

}  // namespace

Error no_checkpoint(const fs::path& dir) {
  return {ExitCode::missing_input, cat("there is no whole checkpoint in '", dir.string(), "'"),
          "--resume goes on from one; without it, the run begins at its first step"};
}

Result<std::vector<std::string>> compare(const checkpoint::Checkpoint& from, const config::RunConfig& config,
                                         const catalog::Modalities& modalities, std::int64_t train_samples) {
  const std::string where = cat("'", from.path().string(), "'");
  const auto changes = config::changes(from.manifest().config, config::dump(config));
  if (const auto ok = check_fixed(where, changes); !ok) return tl::unexpected(ok.error());
  const auto& counters = from.manifest().counters;
  const auto samples = counters.find("train_samples");
  if (samples != counters.end() && samples->second != std::to_string(train_samples))
    return fail(ExitCode::usage,
                cat("the run cannot go on from ", where, ": data.train has ", train_samples,
                    " samples and had ", samples->second, ", whose order is another"),
                "give it the same data, or start a run of its own from the model: cornstarch-train "
                "checkpoint export");
  if (const auto ok = check_references(from, modalities); !ok) return tl::unexpected(ok.error());
  if (const auto ok = check_shapes(from, where, modalities); !ok) return tl::unexpected(ok.error());
  auto out = compare_parameters(from, where, modalities);
  if (!out) return out;
  std::vector<std::string> shown_changes;
  for (const config::Change& change : changes)
    if (change.key != "resume") shown_changes.push_back(shown(change));
  if (!shown_changes.empty()) out->push_back(cat("changed since ", where, ": ", join(shown_changes, "; ")));
  return out;
}

std::int64_t resume(const config::RunConfig& config, const catalog::Modalities& modalities,
                    comm::Communicator& comm, at::Device device, std::int64_t train_samples,
                    Trainer& trainer) {
  if (config.resume == config::Resume::never) return 0;
  const fs::path dir = config::checkpoint_folder(config);
  const bool speaks = comm.rank() == 0;
  const auto found = speaks ? candidates(dir) : std::vector<std::int64_t>();
  for (std::size_t i = 0;; ++i) {
    const std::int64_t step = from_rank_0(comm, device, i < found.size() ? found[i] : -1);
    if (step < 0 && i == 0 && config.resume == config::Resume::automatic) return 0;
    if (step < 0) throw Failure(no_checkpoint(dir));
    std::string trouble;
    try {
      auto opened = value_or_throw(checkpoint::Checkpoint::open(checkpoint::whole_folder(dir, step)));
      const auto remarks = value_or_throw(compare(opened, config, modalities, train_samples));
      trainer.restore(opened);
      if (speaks)
        for (const std::string& remark : remarks) log::warning(remark);
    } catch (const Failure& failure) {
      if (failure.error().code == ExitCode::usage) throw;  // on every rank alike
      trouble = failure.what();
      log::warning(cat("left out: ", trouble));
    }
    if (!on_all_ranks(comm, device, trouble.empty())) continue;
    trainer.publish();
    if (speaks) checkpoint::set_aside_newer(dir, step);
    return step;
  }
}

}  // namespace cornstarch::train
