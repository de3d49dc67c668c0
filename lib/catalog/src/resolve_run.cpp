#include <filesystem>

#include "cornstarch/base/path_pattern.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "hub_name.h"
#include "resolve_context.h"

namespace cornstarch::catalog {
namespace {

namespace fs = std::filesystem;

void check_sizes(const Context& context) {
  const config::Batch& batch = context.config().batch;
  if (batch.global_size && batch.microbatch_size > 0 && *batch.global_size % batch.microbatch_size != 0) {
    context.error("bad_batch", "batch.global_size",
                  cat("global_size ", *batch.global_size, " is no multiple of microbatch_size ",
                      batch.microbatch_size));
  }
}

void check_length(const Context& context, const std::vector<const Modality*>& all) {
  const std::int64_t length = context.config().batch.sequence_length;
  if (length <= 0) return;  // reported on loading
  const std::string path = "batch.sequence_length";
  for (const Modality* modality : all) {
    const ModelSpec& spec = modality->spec;
    if (is_llm(*modality) && spec.max_positions > 0 && length > spec.max_positions) {
      context.error(
          "bad_batch", path,
          cat("sequence_length ", length, " is more than the ", spec.max_positions, " positions of the LLM"),
          "max_position_embeddings in its config.json sets them, and the factor of a rope_scaling of type "
          "dynamic");
    }
    if (is_llm(*modality)) continue;
    const auto item = fixed_extents(spec);
    const std::int64_t features = item ? features_of(*modality, *item) : 0;
    if (features >= length) {
      context.error("bad_batch", path,
                    cat("one item of '", modality->name, "' takes ", features, " of ", length,
                        " tokens: no sample with one fits"),
                    "placeholders count as many tokens as their item has features");
    }
  }
}

void warn_of_idle_pipeline(const Context& context, const std::vector<const Modality*>& all) {
  const auto& microbatches = context.config().batch.num_microbatches;
  std::size_t stages = 0;
  for (const Modality* modality : all) stages += modality->stages.size();
  if (!microbatches || static_cast<std::size_t>(std::max(0, *microbatches)) >= stages) return;
  context.warning(
      "few_microbatches", "batch.num_microbatches",
      cat(*microbatches, *microbatches == 1 ? " microbatch for " : " microbatches for ", stages,
          " pipeline stages"),
      "stages wait for each other most of the time; give at least as many microbatches as stages");
}

enum class Kind { file, folder };

void check_path(const Context& context, const std::string& path, const std::string& value, Kind kind) {
  if (value.empty()) return;  // reported on loading
  std::error_code ignored;
  const fs::file_status status = fs::status(value, ignored);
  if (!fs::exists(status)) {
    context.error("missing_file", path, cat("'", value, "' does not exist"));
  } else if (kind == Kind::file && fs::is_directory(status)) {
    context.error("missing_file", path, cat("'", value, "' is a folder, not a file"));
  } else if (kind == Kind::folder && !fs::is_directory(status)) {
    context.error("missing_file", path, cat("'", value, "' is not a folder"));
  }
}

/// A tokenizer is one file of a model's folder.
void check_tokenizer_path(const Context& context) {
  const std::string& value = context.config().data.tokenizer;
  const std::string path = "data.tokenizer";
  std::error_code ignored;
  if (value.empty() || fs::exists(value, ignored)) return;  // what it holds is found on opening
  context.error("missing_file", path, cat("'", value, "' does not exist"),
                download_help(context.loaded.where.at(path), value, "tokenizer.json tokenizer_config.json"));
}

/// One file, or several that a pattern names.
void check_files(const Context& context, const std::string& path, const std::string& value) {
  if (value.empty()) return;  // reported on loading
  const auto files = expand_pattern(value);
  if (!files) return context.error("missing_file", path, files.error().message);
  for (const fs::path& file : *files) check_path(context, path, file.string(), Kind::file);
}

void check_datasets(const Context& context, const std::string& path,
                    const std::vector<config::Dataset>& sets) {
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const std::string own = cat(path, "[", i, "]");
    check_files(context, own + ".path", sets[i].path);
    if (sets[i].media_root) check_path(context, own + ".media_root", *sets[i].media_root, Kind::folder);
  }
}

}  // namespace

void check_batch(const Context& context, const std::vector<const Modality*>& all) {
  check_sizes(context);
  check_length(context, all);
  warn_of_idle_pipeline(context, all);
}

void check_data(const Context& context) {
  const config::Data& data = context.config().data;
  check_datasets(context, "data.train", data.train);
  check_datasets(context, "data.eval", data.eval);
  check_tokenizer_path(context);
}

}  // namespace cornstarch::catalog
