#include "tokenizer_json.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cornstarch/base/text.h"
#include "tokenizer_parts.h"
#include "tokenizer_scan.h"

namespace cornstarch::dataio {
namespace {

bool says_something(const Json* value) {
  if (value == nullptr) return false;
  if (value->is_boolean()) return value->get<bool>();
  if (value->is_number()) return value->get<double>() != 0;
  return !(value->is_string() && value->get_ref<const std::string&>().empty());
}

Result<void> check_model(const Json* model) {
  if (model == nullptr || !model->is_object()) return refuse_tokenizer("no 'model'");
  // GPT-2's own file names no type.
  if (find(*model, "type") != nullptr && type_of(*model) != "BPE")
    return not_implemented(cat("model type '", type_of(*model), "'"));
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (says_something(find(*model, key))) return not_implemented(cat("model.", key));
  }
  return {};
}

Result<Bpe> read_model(const Json& model, TokenizerScan& scan) {
  auto vocabulary = scan.vocabulary();
  if (!vocabulary) return tl::unexpected(vocabulary.error());
  auto merges = scan.merges(*vocabulary);
  if (!merges) return tl::unexpected(merges.error());
  const Json* unknown = find(model, "unk_token");
  Bpe::Options options{flag(model, "ignore_merges", false), flag(model, "byte_fallback", false),
                       flag(model, "fuse_unk", false), -1};
  if (unknown != nullptr && unknown->is_string())
    options.unknown = vocabulary->find(unknown->get_ref<const std::string&>());
  return Bpe(std::move(*vocabulary), *merges, options);
}

Result<AddedToken> read_added_token(const Json& item) {
  const Json* text = find(item, "content");
  if (text == nullptr || !text->is_string()) return refuse_tokenizer("an added token without 'content'");
  AddedToken token;
  token.content = text->get<std::string>();
  const auto id = token_id(item.value("id", Json()), token.content);
  if (!id) return tl::unexpected(id.error());
  token.id = *id;
  token.special = flag(item, "special", false);
  token.single_word = flag(item, "single_word", false);
  token.lstrip = flag(item, "lstrip", false);
  token.rstrip = flag(item, "rstrip", false);
  token.normalized = flag(item, "normalized", !token.special);
  return token;
}

Result<void> read_added_tokens(const Json* list, TokenizerContent& content) {
  if (list == nullptr) return {};
  if (!list->is_array()) return refuse_tokenizer("added_tokens is not a list");
  for (const Json& item : *list) {
    auto token = read_added_token(item);
    if (!token) return tl::unexpected(token.error());
    const std::int32_t other = content.bpe.vocabulary().find(token->content);
    if (other >= 0 && other != token->id)
      return refuse_tokenizer(cat("token '", token->content, "' has id ", other, " in the model and ",
                                  token->id, " in added_tokens"));
    MarkedText spelling;
    spelling.append(token->content, false);
    auto normal = token->normalized ? normalize(content.normalizer, spelling) : spelling;
    if (!normal) return tl::unexpected(normal.error());
    (token->normalized ? content.normalized_finder : content.raw_finder).add(*token, normal->text);
    content.added_by_id.insert_or_assign(token->id, TokenizerContent::Added{normal->text, token->special});
    content.added.insert_or_assign(token->content, token->id);
  }
  content.raw_finder.sort();
  content.normalized_finder.sort();
  return {};
}

/// A byte-level tokenizer that names no decoder has its own.
void complete_decoder(TokenizerContent& content) {
  const bool byte_level = !content.steps.empty() && std::holds_alternative<ByteLevel>(content.steps.back());
  if (content.decoder.empty() && byte_level) content.decoder.push_back(LettersToBytes{});
}

/// What a post-processor puts in front of a text.
std::optional<std::string> token_in_front(const Json* processor) {
  if (processor == nullptr) return std::nullopt;
  const auto text = [](const Json* value) {
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  };
  if (const Json* single = find(*processor, "single"); single != nullptr && single->is_array()) {
    const Json* token = single->empty() ? nullptr : find(single->front(), "SpecialToken");
    return token == nullptr ? std::string() : text(find(*token, "id"));
  }
  if (const Json* cls = find(*processor, "cls"); cls != nullptr && cls->is_array() && !cls->empty())
    return text(&cls->front());
  if (const Json* list = find(*processor, "processors"); list != nullptr && list->is_array()) {
    for (const Json& one : *list) {
      const auto token = token_in_front(&one);
      if (token && !token->empty()) return token;
    }
  }
  return std::string();
}

/// Moves a value out of its result; what went wrong goes to `problem`.
template <typename T>
bool take(Result<T> result, T& into, Result<void>& problem) {
  if (result) {
    into = std::move(*result);
  } else {
    problem = tl::unexpected(result.error());
  }
  return result.has_value();
}

}  // namespace

Result<TokenizerContent> read_tokenizer_json(std::string_view json) {
  auto scan = TokenizerScan::open(json);
  if (!scan) return tl::unexpected(scan.error());
  auto rest = scan->rest();
  if (!rest) return tl::unexpected(rest.error());
  const Json* model = find(*rest, "model");
  TokenizerContent content;
  Result<void> done = check_model(model);
  if (done && take(read_normalizer(find(*rest, "normalizer")), content.normalizer, done) &&
      take(read_pre_tokenizer(find(*rest, "pre_tokenizer")), content.steps, done) &&
      take(read_decoder(find(*rest, "decoder")), content.decoder, done) &&
      take(read_model(*model, *scan), content.bpe, done))
    done = read_added_tokens(find(*rest, "added_tokens"), content);
  if (!done) return tl::unexpected(done.error());
  complete_decoder(content);
  content.post_begin = token_in_front(find(*rest, "post_processor"));
  return content;
}

std::int64_t TokenizerContent::size() const {
  return std::max(bpe.vocabulary().size(), added_by_id.empty() ? 0 : added_by_id.rbegin()->first + 1);
}

}  // namespace cornstarch::dataio
