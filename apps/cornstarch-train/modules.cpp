#include <cstdio>
#include <nlohmann/json.hpp>

#include "console.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/catalog/whole_model.h"
#include "cornstarch/plan/names.h"
#include "run_file.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostConfig = std::size_t{16} << 20;

struct Args {
  RunFile file;
  std::string family, hf_config;
  bool list = false;
  std::string format = "text";
};

/// The modules of one modality, in order.
struct Modules {
  std::string modality, family;
  std::vector<std::string> names;
};

/// An encoder's last module is its projector, whatever its family.
Result<Modules> modules_of(const std::string& modality, const std::string& family,
                           const std::string& hf_config) {
  const catalog::SpecResult result = catalog::make_spec(family, hf_config);
  if (!result.spec) return fail(ExitCode::usage, cat(modality, ": ", join(result.problems, "\n       ")));
  Modules out{modality, family, {}};
  for (const auto& module : result.spec->modules) out.names.push_back(module.name);
  if (result.spec->kind != catalog::ModelKind::llm) out.names.emplace_back("projector");
  return out;
}

Result<std::string> hf_config_of(const std::optional<std::string>& pretrained,
                                 const std::optional<std::string>& config_json) {
  if (config_json || !pretrained) return config_json.value_or("{}");
  return catalog::read_model_config(*pretrained);
}

/// Stage lists may still be missing or wrong here: this verb is what helps to write them.
Result<std::vector<Modules>> modules_of_config(const Args& args) {
  Diagnostics diagnostics;
  const auto loaded = config::load(args.file.path, args.file.all_overrides(), diagnostics);
  std::vector<Modules> out;
  const auto add = [&](const std::string& name, const auto& model) -> Result<void> {
    const auto hf_config = hf_config_of(model.pretrained, model.config_json);
    if (!hf_config) return tl::unexpected(hf_config.error());
    auto modules = modules_of(name, model.family, *hf_config);
    if (!modules) return tl::unexpected(modules.error());
    out.push_back(std::move(*modules));
    return {};
  };
  Result<void> added;
  if (loaded) {
    for (const config::Encoder& encoder : loaded->config.model.encoders) {
      if (added) added = add(encoder.name, encoder);
    }
    if (added) added = add("llm", loaded->config.model.llm);
    if (added) return out;
  }
  std::fputs(render_text(diagnostics).c_str(), stderr);
  return loaded ? tl::unexpected(added.error()) : fail(ExitCode::usage, "");
}

std::string list_families(const std::string& format) {
  if (format == "json") {
    Json all = Json::array();
    for (const auto& family : catalog::families()) {
      all.push_back(
          {{"name", family.name}, {"kind", name_of(family.kind)}, {"description", family.description}});
    }
    return all.dump(2) + "\n";
  }
  std::string out;
  for (const auto& family : catalog::families()) {
    const std::string kind = name_of(family.kind);
    out += cat(family.name, std::string(22 - std::min<std::size_t>(21, family.name.size()), ' '), kind,
               std::string(8 - kind.size(), ' '), family.description, "\n");
  }
  return out;
}

/// As one stage of a `parallel` section, ready to be pasted and cut.
std::string as_text(const Modules& modules) {
  std::vector<std::string> items = plan::compress_modules(modules.names);
  for (std::string& item : items) {
    if (item.find("..") != std::string::npos) item = cat("\"", item, "\"");
  }
  std::string stage = plan::wrap(items, 5, 109);
  stage.replace(0, 5, "  - [");
  stage.insert(stage.size() - 1, "]");
  return cat("# ", modules.modality, ": ", modules.family, ", ", modules.names.size(), " modules\nstages:\n",
             stage);
}

ExitCode print_modules(const std::vector<Modules>& all, const std::string& format) {
  if (format == "text") {
    std::string out;
    for (const Modules& modules : all) out += (out.empty() ? "" : "\n") + as_text(modules);
    return print_out(out);
  }
  Json out = Json::object();
  for (const Modules& modules : all) out[modules.modality] = modules.names;
  return print_out(out.dump(2) + "\n");
}

Result<std::vector<Modules>> modules_of_family(const Args& args) {
  std::vector<std::string> names;
  for (const auto& family : catalog::families()) {
    names.push_back(family.name);
    if (family.name != args.family) continue;
    if (args.hf_config.empty()) {
      return fail(ExitCode::usage, "--hf-config is missing: the config.json of the model",
                  "see cornstarch-train modules --help");
    }
    const auto text = read_file_or_pipe(args.hf_config, kMostConfig);
    if (!text) return tl::unexpected(text.error());
    auto modules = modules_of(name_of(family.kind), args.family, *text);
    if (!modules) return tl::unexpected(modules.error());
    return std::vector<Modules>{std::move(*modules)};
  }
  const std::string hint = did_you_mean(args.family, names);
  return fail(ExitCode::usage, cat("--family: unknown family '", args.family, "'"),
              hint.empty() ? "known are " + join(names, ", ") : hint);
}

ExitCode run(const Args& args) {
  if (args.list) return print_out(list_families(args.format));
  if (args.file.path.empty() == args.family.empty()) {
    return complain(
        {ExitCode::usage, "give one of --config, --family or --list", "see cornstarch-train modules --help"});
  }
  const auto modules = args.family.empty() ? modules_of_config(args) : modules_of_family(args);
  if (modules) return print_modules(*modules, args.format);
  return modules.error().message.empty() ? modules.error().code : complain(modules.error());
}

}  // namespace

Run declare_modules(Options& options) {
  auto args = std::make_shared<Args>();
  declare_run_file(options, args->file);
  options.text("--family", args->family, "A family of --list, instead of --config");
  std::vector<std::string> families;
  for (const auto& family : catalog::families()) families.push_back(family.name);
  options.suggest("--family", families);
  options.text("--hf-config", args->hf_config, "The config.json for --family", Flag::Takes::file);
  options.flag("--list", args->list, "The families that this build knows");
  options.choice("--format", args->format, {"text", "json"}, "Stage lists to paste, or JSON");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
