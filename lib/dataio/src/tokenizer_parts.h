#pragma once

#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "json_text.h"
#include "normalizer.h"
#include "split_text.h"
#include "token_decoder.h"

namespace cornstarch::dataio {

tl::unexpected<Error> refuse_tokenizer(const std::string& what);
/// "normalizer 'Lowercase' is not implemented"
tl::unexpected<Error> not_implemented(const std::string& what);

/// "(none)" without one.
std::string type_of(const Json& object);
bool flag(const Json& object, const char* key, bool fallback);

/// Null: none.
Result<std::vector<NormalizerStep>> read_normalizer(const Json* normalizer);
Result<std::vector<PreTokenizerStep>> read_pre_tokenizer(const Json* pre_tokenizer);
Result<std::vector<DecoderStep>> read_decoder(const Json* decoder);

}  // namespace cornstarch::dataio
