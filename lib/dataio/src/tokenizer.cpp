#include "cornstarch/dataio/tokenizer.h"

#include <initializer_list>
#include <utility>

#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "tokenizer_json.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kMaxFile = std::size_t{256} << 20;

}  // namespace

struct Tokenizer::State : TokenizerContent {
  explicit State(TokenizerContent content) : TokenizerContent(std::move(content)) {}
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::filesystem::path& path) {
  auto text = read_file(path, kMaxFile);
  if (!text) return tl::unexpected(text.error());
  return parse(*text, path.string());
}

Result<Tokenizer> Tokenizer::parse(std::string_view json, const std::string& name) {
  auto content = read_tokenizer_json(json);
  if (!content) {
    Error error = content.error();
    error.message = cat(name, ": ", error.message);
    return tl::unexpected(std::move(error));
  }
  return Tokenizer(std::make_unique<State>(std::move(*content)));
}

Result<std::vector<std::int64_t>> Tokenizer::encode(std::string_view text) const {
  if (!is_utf8(text)) return fail(ExitCode::bad_data, "the text is not UTF-8");
  std::vector<std::int64_t> ids;
  for (const Part& raw : state_->raw_finder.split(text)) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    auto normal = normalize(raw.text, state_->normal_forms);
    if (!normal) return tl::unexpected(normal.error());
    for (const Part& part : state_->normalized_finder.split(*normal)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      auto words = pre_tokenize(state_->steps, part.text);
      if (!words) return tl::unexpected(words.error());
      for (const std::string& word : *words) {
        auto done = state_->bpe.encode(word, ids);
        if (!done) return tl::unexpected(done.error());
      }
    }
  }
  return ids;
}

std::string Tokenizer::decode(const std::vector<std::int64_t>& ids, bool skip_special) const {
  std::string bytes;
  for (const std::int64_t id : ids) {
    if (id < 0 || id >= size()) continue;
    const TokenPiece& piece = state_->pieces[static_cast<std::size_t>(id)];
    if (!(piece.special && skip_special)) bytes += piece.bytes;
  }
  return lossy_utf8(bytes);
}

std::optional<std::int64_t> Tokenizer::id(std::string_view token) const {
  const auto added = state_->added.find(token);
  if (added != state_->added.end()) return added->second;
  const auto other = state_->unspellable.find(token);
  if (other != state_->unspellable.end()) return other->second;
  const auto bytes = bytes_of_letters(token);
  if (!bytes) return std::nullopt;
  const auto it = state_->bpe.vocabulary().find(*bytes);
  if (it == state_->bpe.vocabulary().end()) return std::nullopt;
  return it->second;
}

std::int64_t Tokenizer::size() const { return std::ssize(state_->pieces); }

std::optional<std::int64_t> Tokenizer::first_added(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    const auto it = state_->added.find(name);
    if (it != state_->added.end()) return it->second;
  }
  return std::nullopt;
}

std::optional<std::int64_t> Tokenizer::begin_id() const {
  return first_added({"<|begin_of_text|>", "<s>", "<bos>", "[BOS]"});
}

std::optional<std::int64_t> Tokenizer::end_id() const {
  return first_added(
      {"</s>", "<eos>", "<|end_of_text|>", "<|eot_id|>", "<|im_end|>", "<|endoftext|>", "[EOS]"});
}

std::int64_t Tokenizer::pad_id() const {
  const auto pad = first_added({"<pad>", "<|pad|>", "<|finetune_right_pad_id|>", "[PAD]"});
  return pad ? *pad : end_id().value_or(0);
}

}  // namespace cornstarch::dataio
