#include "checkpoint_template.h"

#include <algorithm>
#include <optional>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "json_text.h"

namespace cornstarch::dataio {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxFile = std::size_t{4} << 20;
constexpr const char* kKey = "chat_template";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

/// An object, or null where there is no such file.
Result<Json> read_object(const fs::path& path) {
  if (!is_there(path)) return Json();
  const auto text = read_file(path, kMaxFile);
  if (!text) return tl::unexpected(text.error());
  auto json = parse_json(*text);
  if (json && json->is_object()) return json;
  return fail(ExitCode::bad_data,
              cat("'", path.string(),
                  "': ", json ? cat("it is ", kind_of(*json), ", not an object") : json.error().message));
}

/// The text of a key: one template, or a list of named ones, of which transformers takes the default.
Result<std::optional<std::string>> text_in(const Json& object, const fs::path& path) {
  const Json* value = object.is_object() ? find(object, kKey) : nullptr;
  if (value == nullptr) return std::optional<std::string>();
  if (value->is_string()) return std::optional(value->get<std::string>());
  std::vector<std::string> names;
  for (const Json& each : *value) {
    const Json* name = each.is_object() ? find(each, "name") : nullptr;
    const Json* text = each.is_object() ? find(each, "template") : nullptr;
    if (name == nullptr || text == nullptr || !name->is_string() || !text->is_string()) continue;
    if (*name == "default") return std::optional(text->get<std::string>());
    names.push_back(cat("'", name->get<std::string>(), "'"));
  }
  const std::string there = names.empty() ? kind_of(*value) : cat("only ", join(names, ", "));
  return fail(ExitCode::bad_data, cat("'", path.string(), "': ", kKey,
                                      " should be a text, or a list with one named "
                                      "'default'; it is ",
                                      there));
}

std::vector<templates::Named> tokens_of(const Json& config) {
  std::vector<templates::Named> out;
  if (!config.is_object()) return out;
  for (const auto& [key, value] : config.items()) {
    const Json* text = value.is_object() ? find(value, "content") : &value;
    if (key.ends_with("_token") && text != nullptr && text->is_string())
      out.emplace_back(key, text->get<std::string>());
  }
  return out;
}

}  // namespace

Result<CheckpointTemplate> read_checkpoint_template(const fs::path& tokenizer) {
  std::error_code ignored;
  const fs::path folder = fs::is_directory(tokenizer, ignored) ? tokenizer : tokenizer.parent_path();
  const auto config = read_object(folder / "tokenizer_config.json");
  if (!config) return tl::unexpected(config.error());
  CheckpointTemplate out{{}, {}, tokens_of(*config)};
  if (const fs::path path = folder / "chat_template.jinja"; is_there(path)) {
    auto text = read_file(path, kMaxFile);
    if (!text) return tl::unexpected(text.error());
    out.source = std::move(*text);
    out.place = path.string();
    return out;
  }
  const auto own = read_object(folder / "chat_template.json");
  if (!own) return tl::unexpected(own.error());
  for (const auto& [name, object] :
       {std::pair("chat_template.json", &*own), std::pair("tokenizer_config.json", &*config)}) {
    auto text = text_in(*object, folder / name);
    if (!text) return tl::unexpected(text.error());
    if (!*text) continue;
    out.source = std::move(**text);
    out.place = cat((folder / name).string(), ": ", kKey);
    return out;
  }
  return fail(ExitCode::missing_input,
              cat("'", folder.string(), "' has no chat template: no chat_template.jinja, and no ", kKey,
                  " in chat_template.json or tokenizer_config.json"),
              "name one of ours with data.chat_template, such as plain, vicuna or chatml");
}

}  // namespace cornstarch::dataio
