#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/dataio/tokenizer.h"
#include "import_config.h"

namespace cornstarch::app {

namespace {

namespace fs = std::filesystem;

/// What is wrong with a chat template for the folder's tokenizer, in a line; nothing if it can be taken.
std::optional<std::string> problem_of(config::ChatTemplate chat, const fs::path& folder) {
  for (const auto& problem : dataio::check_tokenizer(folder, {}, config::name_of(chat)).problems)
    if (problem.severity == Severity::error) return problem.message.substr(0, problem.message.find('\n'));
  return std::nullopt;
}

/// The folder's own chat template, else the first that its language model's family has learnt and whose
/// tokens the tokenizer has.
ChosenTemplate choose_template(const std::string& family, const fs::path& folder) {
  using config::ChatTemplate;
  const auto own = problem_of(ChatTemplate::checkpoint, folder);
  if (!own) return {ChatTemplate::checkpoint, "the folder's own", {}};
  for (const catalog::FamilyInfo& known : catalog::families()) {
    if (known.name != family) continue;
    for (const ChatTemplate candidate : known.chat_templates)
      if (!problem_of(candidate, folder))
        return {candidate, cat("as models of ", family, " have learnt"), *own};
  }
  // What else is wrong with a tokenizer is told of the config.
  return {ChatTemplate::plain, cat("the tokenizer has the tokens of none that ", family, " has learnt"),
          *own};
}

/// A run computes in bf16 what is stored in sixteen bits.
std::string precision_of(const fs::path& folder) {
  const auto text = read_file(folder / "config.json", std::size_t{16} << 20);
  const auto json = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
  if (!json.is_object()) return "fp32";
  const auto type = json.value("dtype", json.value("torch_dtype", nlohmann::json()));
  return type == "bfloat16" || type == "float16" ? "bf16" : "fp32";
}

/// Fills in the modules of each modality, and the longest row that is of use.
Result<void> read_modules(Imported& imported) {
  const auto add = [&](const auto& model, bool encoder) -> Result<void> {
    const auto text = catalog::read_model_config(*model.pretrained);
    if (!text) return tl::unexpected(text.error());
    const auto result = catalog::make_spec(model.family, *text);
    if (!result.spec) return fail(ExitCode::bad_data, join(result.problems, "\n"), result.help);
    auto& names = imported.modules.emplace_back();
    for (const auto& module : result.spec->modules) names.push_back(module.name);
    if (encoder) names.emplace_back("projector");
    constexpr std::int64_t kUsual = 2048;
    const std::int64_t most = result.spec->max_positions;
    imported.sequence_length = most > 0 ? std::min(most, kUsual) : kUsual;
    return {};
  };
  for (const config::Encoder& encoder : imported.whole.model.encoders)
    if (auto added = add(encoder, true); !added) return added;
  return add(imported.whole.model.llm, false);
}

}  // namespace

Result<Imported> read_imported(const fs::path& folder) {
  Imported imported;
  imported.folder = fs::absolute(folder).lexically_normal();
  if (!imported.folder.has_filename()) imported.folder = imported.folder.parent_path();
  auto whole = catalog::read_whole(imported.folder);
  if (!whole) return tl::unexpected(whole.error());
  imported.whole = std::move(*whole);
  if (auto done = read_modules(imported); !done) return tl::unexpected(done.error());
  imported.chat = choose_template(imported.whole.model.llm.family, imported.folder);
  imported.precision = precision_of(imported.folder);
  imported.run_dir = cat("runs/", imported.folder.filename().string());
  return imported;
}

}  // namespace cornstarch::app
