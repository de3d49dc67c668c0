#include "imported.h"

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/whole_model.h"

namespace cornstarch::app {
namespace {

std::string heading(const std::string& model_type, const std::string& run_dir) {
  return cat("# Trains a ", model_type,
             " checkpoint as it stands. Its parts are read from the folder that they are in\n"
             "# (pretrained: FOLDER#part), of which nothing was copied or changed. Then:\n#\n"
             "#   cornstarch-train validate --config run.yaml\n"
             "#   cornstarch-train train --config run.yaml\n"
             "#   cornstarch-train export --run ",
             run_dir, " --out FOLDER  # as a checkpoint of the same kind\n");
}

}  // namespace

Result<Imported> read_imported(const std::filesystem::path& folder) {
  Imported imported;
  imported.folder = std::filesystem::absolute(folder).lexically_normal();
  if (!imported.folder.has_filename()) imported.folder = imported.folder.parent_path();
  auto whole = catalog::read_whole(imported.folder);
  if (!whole) return tl::unexpected(whole.error());
  imported.model_type = whole->model_type;
  RunDraft& draft = imported.draft;
  draft.model = std::move(whole->model);
  if (auto done = read_modules(draft); !done) return tl::unexpected(done.error());
  draft.tokenizer = imported.folder.string();
  draft.chat = choose_template(draft.model.llm.family, imported.folder);
  draft.precision = precision_of(imported.folder);
  draft.run_dir = cat("runs/", imported.folder.filename().string());
  draft.heading = heading(imported.model_type, draft.run_dir);
  return imported;
}

}  // namespace cornstarch::app
