#include "tokenizer_json.h"

#include <optional>
#include <utility>

#include "cornstarch/base/text.h"
#include "json_text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::int64_t kMaxId = 1 << 24;
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

tl::unexpected<Error> refuse(const std::string& what) {
  return fail(ExitCode::bad_data, what, "byte-level BPE tokenizers are read (GPT-2, Llama 3, Qwen, ...)");
}
tl::unexpected<Error> not_implemented(const std::string& what) {
  return refuse(cat(what, " is not implemented"));
}

std::string type_of(const Json& object) {
  const Json* type = find(object, "type");
  return type != nullptr && type->is_string() ? type->get<std::string>() : "(none)";
}

bool flag(const Json& object, const char* key, bool fallback) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

bool says_something(const Json* value) {
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number()) return value->get<double>() != 0;
  return !(value->is_string() && value->get_ref<const std::string&>().empty());
}

Result<std::int64_t> id_of(const Json& value, const std::string& token) {
  if (!value.is_number_integer()) return refuse(cat("the id of token '", token, "' is ", kind_of(value)));
  if (value.is_number_unsigned() ? value.get<std::uint64_t>() > std::uint64_t{kMaxId}
                                 : value.get<std::int64_t>() < 0)
    return refuse(cat("the id of token '", token, "' is outside 0..", kMaxId));
  return value.get<std::int64_t>();
}

void set_piece(TokenizerContent& content, std::int64_t id, TokenPiece piece) {
  const auto at = static_cast<std::size_t>(id);
  if (content.pieces.size() <= at) content.pieces.resize(at + 1);
  content.pieces[at] = std::move(piece);
}

Result<void> read_vocabulary(const Json& model, TokenizerContent& content) {
  const Json* vocab = find(model, "vocab");
  if (vocab == nullptr || !vocab->is_object()) return refuse("model.vocab is not an object");
  Bpe::Vocabulary spelled;
  spelled.reserve(vocab->size());
  for (const auto& [token, value] : vocab->items()) {
    const auto id = id_of(value, token);
    if (!id) return tl::unexpected(id.error());
    auto bytes = bytes_of_letters(token);
    set_piece(content, *id, {bytes.value_or(token), false});
    if (bytes) {
      spelled.emplace(std::move(*bytes), static_cast<std::int32_t>(*id));
    } else {
      content.unspellable.emplace(token, *id);
    }
  }
  content.bpe = Bpe(std::move(spelled), flag(model, "ignore_merges", false));
  return {};
}

/// "a b" in older files, ["a", "b"] in newer ones.
std::optional<std::pair<std::string, std::string>> merge_parts(const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  if (!merge.is_string()) return std::nullopt;
  const auto& text = merge.get_ref<const std::string&>();
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) return std::nullopt;
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

Result<void> read_merges(const Json& model, TokenizerContent& content) {
  const Json* merges = find(model, "merges");
  if (merges == nullptr || !merges->is_array()) return refuse("model.merges is not a list");
  for (const Json& merge : *merges) {
    const auto parts = merge_parts(merge);
    if (!parts) return refuse(cat("a merge is not two tokens: ", merge.dump()));
    const auto left = bytes_of_letters(parts->first);
    const auto right = bytes_of_letters(parts->second);
    if (!left || !right || !content.bpe.add_merge(*left, *right))
      return refuse(cat("the merge of '", parts->first, "' and '", parts->second, "' has no token"));
  }
  return {};
}

Result<void> read_model(const Json& root, TokenizerContent& content) {
  const Json* model = find(root, "model");
  if (model == nullptr || !model->is_object()) return refuse("no 'model'");
  if (type_of(*model) != "BPE") return not_implemented(cat("model type '", type_of(*model), "'"));
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"}) {
    if (says_something(find(*model, key))) return not_implemented(cat("model.", key));
  }
  auto done = read_vocabulary(*model, content);
  if (!done) return done;
  return read_merges(*model, content);
}

Result<void> read_normalizer(const Json& normalizer, TokenizerContent& content) {
  const std::string type = type_of(normalizer);
  if (type == "Sequence") {
    const Json* list = find(normalizer, "normalizers");
    if (list == nullptr || !list->is_array()) return refuse("normalizer.normalizers is not a list");
    for (const Json& item : *list) {
      auto done = read_normalizer(item, content);
      if (!done) return done;
    }
    return {};
  }
  static const std::map<std::string, NormalForm> forms = {{"NFC", NormalForm::nfc},
                                                          {"NFD", NormalForm::nfd},
                                                          {"NFKC", NormalForm::nfkc},
                                                          {"NFKD", NormalForm::nfkd}};
  const auto it = forms.find(type);
  if (it == forms.end()) return not_implemented(cat("normalizer '", type, "'"));
  content.normal_forms.push_back(it->second);
  return {};
}

Result<Regex> read_pattern(const Json& step) {
  const Json* pattern = find(step, "pattern");
  const Json* regex = pattern == nullptr ? nullptr : find(*pattern, "Regex");
  const Json* literal = pattern == nullptr ? nullptr : find(*pattern, "String");
  if (regex != nullptr && regex->is_string()) return Regex::compile(regex->get_ref<const std::string&>());
  if (literal != nullptr && literal->is_string())
    return Regex::literal(literal->get_ref<const std::string&>());
  return refuse("the pattern of a Split is neither 'Regex' nor 'String'");
}

Result<PreTokenizerStep> split_step(const Json& step) {
  auto pattern = read_pattern(step);
  if (!pattern) return tl::unexpected(pattern.error());
  const Json* behavior = find(step, "behavior");
  const std::string name =
      behavior != nullptr && behavior->is_string() ? behavior->get<std::string>() : "(none)";
  if (name != "Isolated" && name != "Removed")
    return not_implemented(cat("Split with behavior '", name, "'"));
  return PreTokenizerStep{false, {Splitter{*pattern, flag(step, "invert", false), name == "Removed"}}};
}

Result<PreTokenizerStep> pattern_step(std::string_view text, bool add_prefix_space) {
  auto pattern = Regex::compile(text);
  if (!pattern) return tl::unexpected(pattern.error());
  return PreTokenizerStep{add_prefix_space, {Splitter{*pattern, false, false}}};
}

Result<PreTokenizerStep> simple_step(const Json& step) {
  const std::string type = type_of(step);
  if (type == "Split") return split_step(step);
  if (type == "Digits")
    return pattern_step(flag(step, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)", false);
  if (type != "ByteLevel") return not_implemented(cat("pre_tokenizer '", type, "'"));
  const bool add_prefix_space = flag(step, "add_prefix_space", true);
  if (flag(step, "use_regex", true)) return pattern_step(kGpt2Pattern, add_prefix_space);
  return PreTokenizerStep{add_prefix_space, {}};
}

Result<void> read_pre_tokenizer(const Json* pre, TokenizerContent& content) {
  if (pre == nullptr) return not_implemented("a tokenizer without pre_tokenizer 'ByteLevel'");
  std::vector<Json> steps{*pre};
  if (type_of(*pre) == "Sequence") {
    const Json* list = find(*pre, "pretokenizers");
    if (list == nullptr || !list->is_array()) return refuse("pre_tokenizer.pretokenizers is not a list");
    steps = list->get<std::vector<Json>>();
  }
  if (steps.empty() || type_of(steps.back()) != "ByteLevel")
    return not_implemented("a pre_tokenizer that does not end with 'ByteLevel'");
  for (const Json& item : steps) {
    auto step = simple_step(item);
    if (!step) return tl::unexpected(step.error());
    content.steps.push_back(std::move(*step));
  }
  return {};
}

Result<AddedToken> read_added_token(const Json& item) {
  const Json* text = find(item, "content");
  if (text == nullptr || !text->is_string()) return refuse("an added token without 'content'");
  AddedToken token;
  token.content = text->get<std::string>();
  const auto id = id_of(item.value("id", Json()), token.content);
  if (!id) return tl::unexpected(id.error());
  token.id = *id;
  token.special = flag(item, "special", false);
  token.single_word = flag(item, "single_word", false);
  token.lstrip = flag(item, "lstrip", false);
  token.rstrip = flag(item, "rstrip", false);
  token.normalized = flag(item, "normalized", !token.special);
  return token;
}

std::optional<std::int64_t> id_in_model(const TokenizerContent& content, const std::string& token) {
  const auto bytes = bytes_of_letters(token);
  if (bytes) {
    const auto it = content.bpe.vocabulary().find(*bytes);
    return it == content.bpe.vocabulary().end() ? std::nullopt : std::optional<std::int64_t>(it->second);
  }
  const auto it = content.unspellable.find(token);
  return it == content.unspellable.end() ? std::nullopt : std::optional<std::int64_t>(it->second);
}

Result<void> read_added_tokens(const Json& root, TokenizerContent& content) {
  const Json* list = find(root, "added_tokens");
  if (list == nullptr) return {};
  if (!list->is_array()) return refuse("added_tokens is not a list");
  for (const Json& item : *list) {
    auto token = read_added_token(item);
    if (!token) return tl::unexpected(token.error());
    const auto other = id_in_model(content, token->content);
    if (other && *other != token->id)
      return refuse(cat("token '", token->content, "' has id ", *other, " in the model and ", token->id,
                        " in added_tokens"));
    auto spelling =
        normalize(token->content, token->normalized ? content.normal_forms : std::vector<NormalForm>());
    if (!spelling) return tl::unexpected(spelling.error());
    (token->normalized ? content.normalized_finder : content.raw_finder).add(*token, *spelling);
    set_piece(content, token->id, {bytes_of_letters(*spelling).value_or(*spelling), token->special});
    content.added.insert_or_assign(token->content, token->id);
  }
  return {};
}

Result<void> read_decoder(const Json* decoder) {
  if (decoder == nullptr || type_of(*decoder) == "ByteLevel") return {};
  return not_implemented(cat("decoder '", type_of(*decoder), "'"));
}

}  // namespace

Result<std::string> normalize(std::string_view text, const std::vector<NormalForm>& forms) {
  std::string out(text);
  for (const NormalForm form : forms) {
    auto next = normalize(out, form);
    if (!next) return next;
    out = std::move(*next);
  }
  return out;
}

Result<TokenizerContent> read_tokenizer_json(std::string_view json) {
  auto root = parse_json(json);
  if (!root) return tl::unexpected(root.error());
  if (!root->is_object()) return refuse("not an object");
  TokenizerContent content;
  auto done = read_model(*root, content);
  if (done && find(*root, "normalizer") != nullptr)
    done = read_normalizer(*find(*root, "normalizer"), content);
  if (done) done = read_pre_tokenizer(find(*root, "pre_tokenizer"), content);
  if (done) done = read_added_tokens(*root, content);
  if (done) done = read_decoder(find(*root, "decoder"));
  if (!done) return tl::unexpected(done.error());
  return content;
}

}  // namespace cornstarch::dataio
