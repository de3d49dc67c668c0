#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cornstarch/config/run_config.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/media_source.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {

enum class Role { system, user, assistant };

struct Turn {
  Role role = Role::user;
  std::string text;    ///< with an encoder's placeholder, or the mark of a part, for each item
  bool learnt = true;  ///< false: an answer that only leads to the next

  bool learn() const { return role == Role::assistant && learnt; }
};

/// The names that there are: templates of ours, and "checkpoint" for the one that stands beside the
/// tokenizer. See docs/chat_templates.md.
std::vector<std::string> chat_templates();

/// How a conversation becomes tokens, for one tokenizer and the encoders of one model. Safe to use from
/// several threads at once.
class ChatTemplate {
 public:
  /// `tokenizer_path`: where the tokenizer was loaded from. `media`: per encoder.
  static Result<ChatTemplate> open(const std::string& name, const std::filesystem::path& tokenizer_path,
                                   const Tokenizer& tokenizer, const std::vector<MediaSource>& media);

  /// Ids and labels of turns, placeholders expanded, without padding. `items`: those that the placeholders
  /// stand for.
  Result<TextRow> row(std::span<const Turn> turns, const Tokenizer& tokenizer, const SampleExtents& items,
                      config::TrainOn train_on = config::TrainOn::answers) const;
  /// The same up to where the assistant's next answer begins, for a model to go on from there. Nothing is
  /// learnt.
  Result<TextRow> prompt(std::span<const Turn> turns, const Tokenizer& tokenizer,
                         const SampleExtents& items) const;

  /// The token behind an answer's text, if one stands there.
  std::optional<std::int64_t> end_of_answer(const Tokenizer& tokenizer) const;
  /// Whether rows begin with the begin token if the tokenizer wants it there.
  bool adds_begin() const;
  /// Whether answers end with a newline where the tokenizer has no end token.
  bool ends_with_newline() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace cornstarch::dataio
