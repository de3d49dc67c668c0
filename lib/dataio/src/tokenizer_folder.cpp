#include <array>

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {
namespace {

namespace fs = std::filesystem;

constexpr std::array kFiles = {"tokenizer.json",     "tokenizer_config.json",  "special_tokens_map.json",
                               "added_tokens.json",  "generation_config.json", "chat_template.jinja",
                               "chat_template.json", "tokenizer.model",        "vocab.json",
                               "merges.txt"};

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string convert(const fs::path& folder) {
  return cat(
      "let transformers write one: python3 -c \"from transformers import AutoTokenizer as T; "
      "T.from_pretrained('",
      folder.string(), "').save_pretrained('", folder.string(), "')\"");
}

}  // namespace

Result<fs::path> tokenizer_json_path(const fs::path& tokenizer) {
  if (!is_folder(tokenizer)) {
    if (tokenizer.extension() == ".model" && is_file(tokenizer))
      return fail(ExitCode::missing_input,
                  cat("'", tokenizer.string(), "' is SentencePiece's own file, not a tokenizer.json"),
                  convert(tokenizer.parent_path()));
    return tokenizer;
  }
  if (is_file(tokenizer / "tokenizer.json")) return tokenizer / "tokenizer.json";
  const std::string missing = cat("'", tokenizer.string(), "' holds no tokenizer.json");
  for (const char* other : {"tokenizer.model", "vocab.json"}) {
    if (is_file(tokenizer / other))
      return fail(ExitCode::missing_input, cat(missing, ", but ", other), convert(tokenizer));
  }
  return fail(ExitCode::missing_input, missing,
              "a tokenizer's folder holds tokenizer.json and, beside it, tokenizer_config.json and "
              "generation_config.json, as they were published with the model");
}

std::vector<fs::path> tokenizer_files(const fs::path& tokenizer) {
  const fs::path folder = is_folder(tokenizer) ? tokenizer : tokenizer.parent_path();
  std::vector<fs::path> files;
  if (!is_folder(tokenizer) && tokenizer.filename() != "tokenizer.json" && is_file(tokenizer))
    files.push_back(tokenizer);
  for (const char* name : kFiles) {
    const bool other =
        !files.empty() && std::string_view(name) == "tokenizer.json";  // not the one that is used
    if (!other && is_file(folder / name)) files.push_back(folder / name);
  }
  return files;
}

}  // namespace cornstarch::dataio
