#pragma once

#include "cornstarch/catalog/model_spec.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/tokens.h"
#include "cornstarch/plan/token_layout.h"

namespace cornstarch::pipeline {

/// The ranks that split the tokens of a microbatch between them, and how.
struct TokenSplit {
  comm::CommunicatorPtr comm;
  comm::GroupPtr group;
  int cp = 0;  ///< this rank's place in the group
  config::SpMode mode = config::SpMode::all_to_all;
};

/// What the layers of this rank take of a microbatch's layout. `spec`: of the modality.
models::Tokens split_tokens(const TokenSplit& split, const plan::TokenLayout& layout,
                            const catalog::ModelSpec& spec);

}  // namespace cornstarch::pipeline
