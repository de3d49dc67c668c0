#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/diagnostics.h"
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

/// Special tokens as a config names them: "" for none; absent: as the tokenizer's files say.
struct TokenTexts {
  std::optional<std::string> begin, end, pad;
};

/// What is wrong with a tokenizer, and which key of the config says so.
struct TokenizerProblem {
  Severity severity = Severity::error;
  std::string code;  ///< as Diagnostic's
  std::string key;   ///< "data.tokenizer"
  std::string message;
  std::string help;
  ExitCode exit_code = ExitCode::bad_data;
};

/// A BPE tokenizer as Hugging Face's tokenizer.json describes it: byte-level (GPT-2, Llama 3, Qwen, ...) or
/// SentencePiece's with byte_fallback (Llama 2, Vicuna, Mistral, Gemma, ...). What such a file may say and is
/// not implemented is refused by name when it is loaded; `post_processor`, `truncation` and `padding` are not
/// applied, since chat templates say what stands around the text.
///
/// Safe to use from several threads at once.
class Tokenizer {
 public:
  /// `path`: tokenizer.json or the folder that holds it. Which tokens are special is said by `special`, else
  /// by tokenizer_config.json, special_tokens_map.json and generation_config.json beside it, else by the
  /// names that published tokenizers give them.
  static Result<Tokenizer> load(const std::filesystem::path& path, const TokenTexts& special = {});
  /// The same, and every problem and warning on the way. Nothing where there is an error.
  static std::optional<Tokenizer> load(const std::filesystem::path& path, const TokenTexts& special,
                                       std::vector<TokenizerProblem>& problems);
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

  std::optional<std::int64_t> begin_id() const;
  std::optional<std::int64_t> end_id() const;
  /// Without one, the end token, else 0.
  std::int64_t pad_id() const;
  /// Whether a text begins with the begin token, as add_bos_token or the post-processor say.
  bool adds_begin() const;
  /// Whether the config or a file says which is the begin token, or that there is none.
  bool says_begin() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A tokenizer that was looked at before a run.
struct TokenizerCheck {
  std::optional<Tokenizer> tokenizer;  ///< none where there is an error
  std::vector<TokenizerProblem> problems;
};
/// Whether the tokenizer can be read and has the tokens of a chat template (a name of chat_templates()).
TokenizerCheck check_tokenizer(const std::filesystem::path& path, const TokenTexts& special,
                               const std::string& chat_template);

/// The tokenizer.json that a path means: itself, or the one in a folder. Errors (missing_input) say what is
/// there instead and how to convert it.
Result<std::filesystem::path> tokenizer_json_path(const std::filesystem::path& tokenizer);

/// What belongs to a tokenizer and is there, to be copied along with a model: tokenizer.json and its
/// companions.
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& tokenizer);

}  // namespace cornstarch::dataio
