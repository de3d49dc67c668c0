#include <fstream>
#include <iterator>
#include <vector>

#include "cornstarch/dataio/tokenizer.h"
#include "input.h"

namespace {

using namespace cornstarch;

dataio::Tokenizer load(const std::string& name) {
  return value_or_throw(
      dataio::Tokenizer::load(CORNSTARCH_SOURCE_DIR "/tests/golden/dataio/tokenizer_" + name + ".json", {}));
}

}  // namespace

/// Any text becomes ids of the tokenizer, or an error; GPT-2's give the text back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using fuzz::require;
  static const auto tokenizers = [] {
    std::vector<dataio::Tokenizer> all;
    for (const char* name : {"gpt2", "llama2", "llama3", "qwen2", "gemma", "splits", "unknown"})
      all.push_back(load(name));
    return all;
  }();
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const dataio::Tokenizer& tokenizer : tokenizers) {
    const auto ids = tokenizer.encode(text);
    if (!ids) continue;
    for (const std::int64_t id : *ids) require(id >= 0 && id < tokenizer.size());
    const std::string back = tokenizer.decode(*ids);
    require(&tokenizer != &tokenizers.front() || back == text);
  }
  return 0;
}
