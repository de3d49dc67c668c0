#include "cornstarch/dataio/tokenizer.h"

#include <algorithm>
#include <utility>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "special_tokens.h"
#include "tokenizer_json.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kMaxFile = std::size_t{128} << 20;  // Gemma 3's takes 33 MB
constexpr std::size_t kMaxText = std::size_t{1} << 30;

}  // namespace

struct Tokenizer::State : TokenizerContent {
  explicit State(TokenizerContent content) : TokenizerContent(std::move(content)) {}

  Result<void> encode_words(Part part, Encoded& out) const {
    auto words = pre_tokenize(steps, {std::move(part.text), part.first});
    if (!words) return tl::unexpected(words.error());
    for (const Piece& word : *words) {
      auto done = bpe.encode(word.text, out);
      if (!done) return done;
    }
    return {};
  }

  Result<void> encode_raw(Part raw, Encoded& out) const {
    if (raw.id >= 0) {
      out.add(raw.id, raw.text.any());
      return {};
    }
    auto normal = normalize(normalizer, std::move(raw.text));
    if (!normal) return tl::unexpected(normal.error());
    for (Part& part : normalized_finder.split(*normal)) {
      part.first = part.first && raw.first;
      if (part.id >= 0) {
        out.add(part.id, part.text.any());
        continue;
      }
      auto done = encode_words(std::move(part), out);
      if (!done) return done;
    }
    return {};
  }

  SpecialTokens special;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& path, const TokenTexts& special) {
  std::vector<TokenizerProblem> problems;
  auto tokenizer = load(path, special, problems);
  if (tokenizer) return std::move(*tokenizer);
  for (TokenizerProblem& problem : problems) {
    if (problem.severity == Severity::error)
      return tl::unexpected(Error{problem.exit_code, std::move(problem.message), std::move(problem.help)});
  }
  return fail(ExitCode::internal, "a tokenizer without a problem is not there");
}

std::optional<Tokenizer> Tokenizer::load(const std::filesystem::path& path, const TokenTexts& special,
                                         std::vector<TokenizerProblem>& problems) {
  const auto problem = [&](const Error& error) {
    problems.push_back(
        {Severity::error, "bad_tokenizer", "data.tokenizer", error.message, error.help, error.code});
    return std::nullopt;
  };
  const auto file = tokenizer_json_path(path);
  if (!file) return problem(file.error());
  const auto text = read_file(*file, kMaxFile);
  if (!text) return problem(text.error());
  auto tokenizer = parse(*text, file->string());
  if (!tokenizer) return problem(tokenizer.error());
  State& state = *tokenizer->state_;
  state.special = find_special_tokens(state, file->parent_path(), special, problems);
  for (const TokenizerProblem& one : problems) {
    if (one.severity == Severity::error) return std::nullopt;
  }
  return std::move(*tokenizer);
}

Result<Tokenizer> Tokenizer::parse(std::string_view json, const std::string& name) {
  auto content = read_tokenizer_json(json);
  if (!content) {
    Error error = content.error();
    error.message = cat(name, ": ", error.message);
    return tl::unexpected(std::move(error));
  }
  auto state = std::make_unique<State>(std::move(*content));
  std::vector<TokenizerProblem> unused;
  state->special = find_special_tokens(*state, {}, {}, unused);
  return Tokenizer(std::move(state));
}

Result<std::vector<std::int64_t>> Tokenizer::encode(std::string_view text) const {
  auto encoded = encode({Span{std::string(text), false}}, true);
  if (!encoded) return tl::unexpected(encoded.error());
  return std::move(encoded->ids);
}

Result<Encoded> Tokenizer::encode(const std::vector<Span>& spans, bool begins) const {
  MarkedText whole;
  for (const Span& span : spans) {
    if (!is_utf8(span.text)) return fail(ExitCode::bad_data, "the text is not UTF-8");
    whole.append(span.text, span.marked ? 1 : 0);
  }
  if (whole.text.size() > kMaxText) return fail(ExitCode::bad_data, "a text of more than 1 GiB");
  Encoded out;
  for (Part& part : state_->raw_finder.split(whole)) {
    part.first = part.first && begins;
    auto done = state_->encode_raw(std::move(part), out);
    if (!done) return tl::unexpected(done.error());
  }
  return out;
}

std::string Tokenizer::decode(const std::vector<std::int64_t>& ids, bool skip_special) const {
  std::vector<std::string> tokens;
  for (const std::int64_t id : ids) {
    const auto added = state_->added_by_id.find(id);
    if (added != state_->added_by_id.end()) {
      if (!(added->second.special && skip_special)) tokens.push_back(added->second.spelling);
      continue;
    }
    const std::string_view token = state_->bpe.vocabulary().text(id);
    if (!token.empty()) tokens.emplace_back(token);
  }
  return dataio::decode(state_->decoder, std::move(tokens));
}

std::optional<std::int64_t> Tokenizer::id(std::string_view token) const {
  const auto added = state_->added.find(token);
  if (added != state_->added.end()) return added->second;
  const std::int32_t id = state_->bpe.vocabulary().find(token);
  return id < 0 ? std::nullopt : std::optional<std::int64_t>(id);
}

std::int64_t Tokenizer::size() const { return state_->size(); }

std::optional<std::int64_t> Tokenizer::begin_id() const { return state_->special.begin; }
std::optional<std::int64_t> Tokenizer::end_id() const { return state_->special.end; }
std::int64_t Tokenizer::pad_id() const {
  return state_->special.pad ? *state_->special.pad : end_id().value_or(0);
}
bool Tokenizer::adds_begin() const { return state_->special.adds_begin; }
bool Tokenizer::says_begin() const { return state_->special.says_begin; }

}  // namespace cornstarch::dataio
