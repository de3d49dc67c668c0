#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "chat_form.h"

namespace cornstarch::dataio {

/// What a template writes of a conversation.
struct Written {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> learnt = {};  ///< stretches of it, in order
};

/// `marks`: the template says itself which bytes are answers. Else an answer is what is written more when it
/// is there than when it is asked for; what cannot be told apart in this way is refused.
Result<Written> write_row(const ChatForm& form, bool marks, std::span<const Turn> turns,
                          config::TrainOn train_on);

}  // namespace cornstarch::dataio
