#pragma once

#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/tokens.h"
#include "cornstarch/pipeline/executor.h"

namespace cornstarch::pipeline {

/// The ranks that split the tokens of a microbatch between them, and how.
struct TokenSplit {
  comm::CommunicatorPtr comm;
  comm::GroupPtr group;
  int cp = 0;  ///< this rank's place in the group
  config::SpMode mode = config::SpMode::all_to_all;
};

/// Of an encoder: each item's tokens in contiguous shares.
models::Tokens split_items(const TokenSplit& split, const plan::ItemLayout& items);

/// Of the LLM.
models::Tokens split_text(const TokenSplit& split, const PlacedTokens& placed, const catalog::ModelSpec& llm,
                          std::int64_t sequence_length);

}  // namespace cornstarch::pipeline
