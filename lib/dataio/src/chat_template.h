#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conversation.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {

/// What stands around the text of a turn; "{begin}" and "{end}" stand for the tokenizer's tokens.
struct TurnFrame {
  std::string_view before = {};  ///< where an answer is asked for, the prompt ends with the assistant's
  std::string_view lead = {};    ///< the first that the model says itself, as the rest of its answer
  std::string_view after = {};   ///< of an answer: said by the model, too
  std::string_view gap = {};     ///< up to the next turn
};

struct ChatTemplate {
  std::string_view name = {};
  TurnFrame system = {}, user = {}, assistant = {};
  std::string_view start = {};                ///< of a row
  std::string_view default_system = {};       ///< where a conversation has none
  std::vector<std::string_view> tokens = {};  ///< what must be one token each
  bool adds_begin = false;                    ///< the begin token in front, if the tokenizer wants it there
  bool system_in_user = false;                ///< the system's text stands at the start of the first user's
  bool trim = false;                          ///< texts lose the white space around them
  bool take_turns = false;  ///< user and assistant, one after the other; a system only in front
  bool apart = false;       ///< each turn is tokenised by itself
};

/// Nothing if there is no template of that name.
const ChatTemplate* find_chat_template(const std::string& name);

/// The tokens that the template needs and the tokenizer lacks, each in quotes or as "a begin token".
std::vector<std::string> missing_tokens(const ChatTemplate& chat, const Tokenizer& tokenizer);

/// The token behind an answer's text, if one stands there.
std::optional<std::int64_t> end_of_answer(const ChatTemplate& chat, const Tokenizer& tokenizer);

/// Ids and labels of turns, placeholders expanded, without padding. Learnt is what the assistant says: its
/// text and what ends it. `items`: those that the placeholders stand for.
Result<TextRow> make_row(const ChatTemplate& chat, std::span<const Turn> turns, const Tokenizer& tokenizer,
                         const std::vector<MediaSource>& media, const SampleExtents& items);
/// The same up to where the assistant's next answer begins.
Result<TextRow> make_prompt(const ChatTemplate& chat, std::span<const Turn> turns, const Tokenizer& tokenizer,
                            const std::vector<MediaSource>& media, const SampleExtents& items);

}  // namespace cornstarch::dataio
