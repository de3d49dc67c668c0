#pragma once

#include <string>
#include <vector>

#include "conversation.h"
#include "cornstarch/dataio/dataset.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {

/// Ids and labels of a conversation's first `turns` turns, placeholders expanded, without padding.
using ChatTemplate = Result<TextRow> (*)(const Conversation& conversation, std::size_t turns,
                                         const Tokenizer& tokenizer, const std::vector<MediaSource>& media);

/// Nothing if there is no template of that name.
ChatTemplate find_chat_template(const std::string& name);

}  // namespace cornstarch::dataio
