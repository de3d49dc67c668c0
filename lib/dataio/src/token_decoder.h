#pragma once

#include <string>
#include <variant>
#include <vector>

#include "normalizer.h"

namespace cornstarch::dataio {

/// "ByteLevel": letters become the bytes that they stand for; all tokens become one.
struct LettersToBytes {};
/// "ByteFallback": neighbouring <0x..> become the text that their bytes spell.
struct BytesToText {};
/// "Fuse": all tokens become one.
struct Fuse {};
/// "Strip": at most so many of one character at the start and the end of each token.
struct Strip {
  std::string character;
  std::size_t start = 0, stop = 0;
};
/// "Metaspace": '▁' becomes a space; in the first token, nothing if one is put there in encoding.
struct SpacesOfMetaspace {
  std::string replacement;
  bool drop_first = true;
};

/// `decoder` of a tokenizer.json, a "Sequence" being several steps.
using DecoderStep = std::variant<LettersToBytes, BytesToText, Fuse, Strip, SpacesOfMetaspace, Replace>;

/// The text of tokens in the model's spelling.
std::string decode(const std::vector<DecoderStep>& steps, std::vector<std::string> tokens);

}  // namespace cornstarch::dataio
