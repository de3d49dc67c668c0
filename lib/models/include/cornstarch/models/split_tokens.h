#pragma once

#include "cornstarch/catalog/model_spec.h"
#include "cornstarch/comm/communicator.h"
#include "cornstarch/models/tokens.h"
#include "cornstarch/plan/token_layout.h"

namespace cornstarch::models {

/// The ranks that split the tokens of a microbatch between them, and how; by default one has them all.
struct TokenSplit {
  comm::CommunicatorPtr comm = comm::alone();
  comm::GroupPtr group = comm->world();
  config::SpMode mode = config::SpMode::all_to_all;
};

/// What the layers of this rank take of a microbatch's layout: nothing of plain rows. `spec`: of the
/// modality.
Tokens split_tokens(const plan::TokenLayout& layout, const catalog::ModelSpec& spec,
                    const TokenSplit& split = {});

}  // namespace cornstarch::models
