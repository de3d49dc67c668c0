#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/dataio/chat_template.h"
#include "cornstarch/dataio/conversations.h"

namespace cornstarch::dataio {

/// What a model is asked.
struct Asked {
  std::vector<Turn> turns;                                  ///< up to the answer that is asked for
  std::array<std::vector<std::string>, kMediaKinds> files;  ///< by MediaKind
  std::vector<std::string> answers;                         ///< right ones, where they are known

  std::vector<std::string>& of(MediaKind kind) { return files[static_cast<std::size_t>(kind)]; }
};

/// A line of JSON: a conversation as data.train has it, whose last answer is the right one; or
/// {"question": text, "image"|"images": ..., "answer": text | "answers": [text, ...]}, where "prompt" says
/// the same as "question".
Result<Asked> read_asked(std::string_view json);

/// A turn as people read it: without the marks of its parts, which are listed beside it.
std::string readable(std::string text);

/// As an LLM and its encoders take it.
struct Prompt {
  std::vector<std::int64_t> ids;              ///< -(1 + e) where a feature row of encoder e stands
  SampleExtents extents;                      ///< per encoder
  std::vector<std::vector<MediaItem>> media;  ///< per encoder
};

/// Makes prompts as samples are made: by the chat template, the tokenizer and the encoders' preprocessing.
class Prompter {
 public:
  /// `options.files` are not looked at.
  static Result<Prompter> make(ConversationOptions options);
  Prompter(Prompter&&) noexcept;
  ~Prompter();

  /// Files for which no turn has a placeholder get theirs in front of the user's last turn, a line each,
  /// unless that has some of their kind.
  void mark_places(Asked& asked) const;
  /// With places marked. Media are found inside `root`, or where it is empty wherever their paths lead.
  Result<Prompt> operator()(Asked asked, const std::filesystem::path& root = {}) const;
  /// What a model has said, trimmed as samples' answers are and without placeholders, for which there is no
  /// file.
  std::string as_answer(std::string_view said) const;
  const Tokenizer& tokenizer() const;
  /// The token that ends an answer by the template.
  std::optional<std::int64_t> answer_end_id() const;

 private:
  struct State;
  explicit Prompter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The text of tokens as they come, a whole number of characters at a time.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer);

  /// What the token adds: nothing while it may be the beginning of a character.
  std::string add(std::int64_t id);
  /// What is left when no more come.
  std::string rest();

 private:
  std::string grown(std::size_t end);

  const Tokenizer* tokenizer_;
  std::set<std::int64_t> bytes_;  // tokens of single bytes: what one spells, the next ones decide
  std::vector<std::int64_t> ids_;
  std::size_t context_ = 0, said_ = 0;  // ids from `context_` on are decoded; those before `said_` were said
};

}  // namespace cornstarch::dataio
