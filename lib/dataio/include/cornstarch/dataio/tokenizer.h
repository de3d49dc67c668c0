#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// A text of which a part is marked, as what an answer says.
struct Span {
  std::string text;
  bool marked = false;
};

/// Tokens, and for each whether it holds something marked.
struct Encoded {
  std::vector<std::int64_t> ids;
  std::vector<bool> marks;

  void add(std::int64_t id, bool mark) {
    ids.push_back(id);
    marks.push_back(mark);
  }
};

/// A BPE tokenizer as Hugging Face's tokenizer.json describes it: byte-level (GPT-2, Llama 3, Qwen, ...) or
/// SentencePiece's with byte_fallback (Llama 2, Vicuna, Mistral, Gemma, ...). What such a file may say and is
/// not implemented is refused by name when it is loaded; `post_processor`, `truncation` and `padding` are not
/// applied, since chat templates say what stands around the text.
///
/// Safe to use from several threads at once.
class Tokenizer {
 public:
  static Result<Tokenizer> load(const std::filesystem::path& path);
  /// `name` stands for the file in error messages.
  static Result<Tokenizer> parse(std::string_view json, const std::string& name);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Text that spells an added token ("<|endoftext|>") becomes that token. Errors (bad_data): text that is
  /// not UTF-8, a character for which the vocabulary has no token.
  Result<std::vector<std::int64_t>> encode(std::string_view text) const;
  /// The ids of the spans' text as one. `begins`: nothing stands in front of it, which some tokenizers spell
  /// otherwise.
  Result<Encoded> encode(const std::vector<Span>& spans, bool begins) const;
  /// Bytes that are not UTF-8 become U+FFFD; ids that are no token's are left out.
  std::string decode(const std::vector<std::int64_t>& ids, bool skip_special = false) const;

  /// Of an added token or a token of the model (in the model's spelling).
  std::optional<std::int64_t> id(std::string_view token) const;
  /// The highest id + 1.
  std::int64_t size() const;

  /// Special tokens by the names that published tokenizers give them, since tokenizer.json does not say which
  /// is which: begin: <|begin_of_text|> <s> <bos> [BOS]; end: </s> <eos> <|end_of_text|> <|eot_id|>
  /// <|im_end|> <|endoftext|> [EOS]; pad: <pad> <|pad|> <|finetune_right_pad_id|> [PAD], else the end token,
  /// else 0.
  std::optional<std::int64_t> begin_id() const;
  std::optional<std::int64_t> end_id() const;
  std::int64_t pad_id() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::optional<std::int64_t> first_added(std::initializer_list<std::string_view> names) const;
  std::unique_ptr<State> state_;
};

}  // namespace cornstarch::dataio
