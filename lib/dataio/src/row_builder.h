#pragma once

#include <span>
#include <string>
#include <vector>

#include "answers.h"
#include "chat_form.h"

namespace cornstarch::dataio {

/// Makes ids and labels of what templates write: text is tokenised up to where an item stands, whose features
/// have their places there.
class RowBuilder {
 public:
  RowBuilder(const ChatForm& form, const Tokenizer& tokenizer, const SampleExtents& items);

  /// The begin token, if the tokenizer wants it in front. What follows is spelled as at the start of a text.
  void begin(bool learn);
  /// What was written of these turns. What comes next is another text.
  Result<void> add(std::span<const Turn> turns, const Written& written);
  TextRow take();

 private:
  Result<void> add_item(std::size_t encoder);
  void add_text(std::string_view text, bool learn);
  Result<void> flush();
  void add(std::int64_t id, bool learn);

  const ChatForm& form_;
  const Tokenizer& tokenizer_;
  const SampleExtents& items_;
  std::vector<std::size_t> next_;  ///< per encoder: its item for the next placeholder
  std::vector<Span> spans_;        ///< not tokenised yet
  bool begins_ = true;
  TextRow row_;
};

}  // namespace cornstarch::dataio
