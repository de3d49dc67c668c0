#include "special_tokens.h"

#include <array>
#include <string>
#include <utility>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "json_text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kMaxFile = std::size_t{4} << 20;

struct Kind {
  const char* key;     ///< in tokenizer_config.json, and below `data`
  const char* id_key;  ///< in generation_config.json
  std::vector<std::string_view> names;
};
const Kind kBegin = {"bos_token", "bos_token_id", {"<|begin_of_text|>", "<s>", "<bos>", "[BOS]"}};
const Kind kEnd = {
    "eos_token",
    "eos_token_id",
    {"</s>", "<eos>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>", "[EOS]"}};
const Kind kPad = {"pad_token", "pad_token_id", {"<pad>", "<|pad|>", "<|finetune_right_pad_id|>", "[PAD]"}};

/// "<s>" or {"content": "<s>", ...}
std::optional<std::string> text_of(const Json& token) {
  const Json* text = token.is_object() ? find(token, "content") : &token;
  if (text == nullptr || !text->is_string()) return std::nullopt;
  return text->get<std::string>();
}

class Files {
 public:
  Files(const TokenizerContent& content, const std::filesystem::path& folder,
        std::vector<TokenizerProblem>& problems)
      : content_(content), problems_(problems) {
    if (folder.empty()) return;
    for (std::size_t i = 0; i < kNames.size(); ++i) read(folder / kNames[i], files_[i]);
  }

  std::optional<std::int64_t> find_token(const Kind& kind, const std::optional<std::string>& given) {
    if (given) return given->empty() ? std::nullopt : given_token(kind, *given);
    for (std::size_t i = 0; i < 2; ++i) {
      if (const auto token = named(kind, i)) return token;
    }
    const bool none = says_none(kind);
    if (none && &kind == &kBegin) return std::nullopt;
    if (const auto token = numbered(kind)) return token;
    return none ? std::nullopt : by_name(kind);
  }

  bool says_none(const Kind& kind) const {
    return !files_[0].is_null() && files_[0].contains(kind.key) && files_[0][kind.key].is_null();
  }

  /// What HF's tokenizers do with a text: `add_bos_token`, else the post-processor. A tokenizer.json alone
  /// that says nothing of it is taken to want its begin token.
  bool adds_begin(const std::optional<std::string>& given, std::optional<std::int64_t> begin) const {
    if (!begin || given) return begin.has_value();
    const Json* add = find(files_[0], "add_bos_token");
    if (add != nullptr && add->is_boolean()) return add->get<bool>();
    if (content_.post_begin) return id_of(*content_.post_begin) == begin;
    return files_[0].is_null();
  }

 private:
  static constexpr std::array<const char*, 3> kNames = {"tokenizer_config.json", "special_tokens_map.json",
                                                        "generation_config.json"};

  void warn(const std::string& message, std::string help = {}) {
    problems_.push_back({Severity::warning, "special_token", "data.tokenizer", message, std::move(help)});
  }

  void read(const std::filesystem::path& path, Json& into) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return;
    auto text = read_file(path, kMaxFile);
    auto json = text ? parse_json(*text) : tl::unexpected(text.error());
    if (json && json->is_object()) {
      into = std::move(*json);
      return;
    }
    const std::string why = json ? cat("it is ", kind_of(*json), ", not an object") : json.error().message;
    problems_.push_back({Severity::error,
                         "bad_tokenizer",
                         "data.tokenizer",
                         text ? cat("'", path.string(), "': ", why) : why,
                         {}});
  }

  std::optional<std::int64_t> id_of(const std::string& text) const {
    const auto added = content_.added.find(text);
    if (added != content_.added.end()) return added->second;
    const std::int32_t id = content_.bpe.vocabulary().find(text);
    return id < 0 ? std::nullopt : std::optional<std::int64_t>(id);
  }

  std::optional<std::int64_t> given_token(const Kind& kind, const std::string& text) {
    const auto id = id_of(text);
    if (!id)
      problems_.push_back({Severity::error, "special_token", cat("data.", kind.key),
                           cat("'", text, "' is no token of the tokenizer"),
                           "name one of its tokens as tokenizer.json spells it, or 'absent'"});
    return id;
  }

  std::optional<std::int64_t> named(const Kind& kind, std::size_t file) {
    const Json* token = find(files_[file], kind.key);
    const auto text = token == nullptr ? std::nullopt : text_of(*token);
    if (!text) return std::nullopt;
    const auto id = id_of(*text);
    if (!id)
      warn(cat(kNames[file], ": ", kind.key, " '", *text, "' is no token of tokenizer.json; it is not used"));
    return id;
  }

  std::optional<std::int64_t> numbered(const Kind& kind) {
    const Json* value = find(files_[2], kind.id_key);
    if (value != nullptr && value->is_array()) value = value->empty() ? nullptr : &value->front();
    if (value == nullptr || !value->is_number_unsigned()) return std::nullopt;
    const auto id = value->get<std::uint64_t>();
    if (id < static_cast<std::uint64_t>(content_.size())) return static_cast<std::int64_t>(id);
    warn(cat(kNames[2], ": ", kind.id_key, " ", id, " is no token of tokenizer.json; it is not used"));
    return std::nullopt;
  }

  std::optional<std::int64_t> by_name(const Kind& kind) const {
    for (const std::string_view name : kind.names) {
      const auto it = content_.added.find(name);
      if (it != content_.added.end()) return it->second;
    }
    return std::nullopt;
  }

  const TokenizerContent& content_;
  std::vector<TokenizerProblem>& problems_;
  std::array<Json, 3> files_;
};

}  // namespace

SpecialTokens find_special_tokens(const TokenizerContent& content, const std::filesystem::path& folder,
                                  const TokenTexts& given, std::vector<TokenizerProblem>& problems) {
  Files files(content, folder, problems);
  SpecialTokens special;
  special.begin = files.find_token(kBegin, given.begin);
  special.end = files.find_token(kEnd, given.end);
  special.pad = files.find_token(kPad, given.pad);
  special.adds_begin = files.adds_begin(given.begin, special.begin);
  special.says_begin = special.begin || given.begin || files.says_none(kBegin);
  return special;
}

}  // namespace cornstarch::dataio
