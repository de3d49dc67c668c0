#include "cornstarch/dataio/tokenizer.h"
#include "input.h"

/// Any tokenizer.json is one that takes any text, or is refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cornstarch;
  const auto tokenizer =
      dataio::Tokenizer::parse({reinterpret_cast<const char*>(data), size}, "tokenizer.json");
  if (!tokenizer) return 0;
  for (const char* text :
       {"", "Hello  world, it's 12345!\n\n\tWhat?", "  na\u00efve \u4f60\u597d \U0001f600\u200d<s></s>"}) {
    const auto ids = tokenizer->encode(text);
    if (!ids) continue;
    for (const std::int64_t id : *ids) fuzz::require(id >= 0 && id < tokenizer->size());
    (void)tokenizer->decode(*ids);
  }
  return 0;
}
