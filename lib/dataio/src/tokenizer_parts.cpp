#include "tokenizer_parts.h"

#include <map>
#include <optional>
#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string text_of(const Json& object, const char* key, std::string fallback = {}) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::move(fallback);
}

Result<Regex> read_pattern(const Json& step) {
  const Json* pattern = find(step, "pattern");
  const Json* regex = pattern == nullptr ? nullptr : find(*pattern, "Regex");
  const Json* literal = pattern == nullptr ? nullptr : find(*pattern, "String");
  if (regex != nullptr && regex->is_string()) return Regex::compile(regex->get_ref<const std::string&>());
  if (literal != nullptr && literal->is_string())
    return Regex::literal(literal->get_ref<const std::string&>());
  return refuse_tokenizer(cat("the pattern of a ", type_of(step), " is neither 'Regex' nor 'String'"));
}

Result<Replace> replace_step(const Json& step) {
  auto pattern = read_pattern(step);
  if (!pattern) return tl::unexpected(pattern.error());
  return Replace{*pattern, text_of(step, "content")};
}

/// One character, as "replacement" and "content" must be.
Result<std::string> read_character(const Json& step, const char* key, std::string fallback) {
  std::string text = text_of(step, key, std::move(fallback));
  if (text.empty() || utf8_length(text) != static_cast<int>(text.size()))
    return refuse_tokenizer(cat("'", key, "' of ", type_of(step), " is not one character"));
  return text;
}

/// Appends what each item of a "Sequence" says, or what the item itself says.
template <typename Step>
Result<void> read_steps(const Json& item, const char* list_key, Result<Step> (*read)(const Json&),
                        std::vector<Step>& steps) {
  if (type_of(item) != "Sequence") {
    auto step = read(item);
    if (!step) return tl::unexpected(step.error());
    steps.push_back(std::move(*step));
    return {};
  }
  const Json* list = find(item, list_key);
  if (list == nullptr || !list->is_array()) return refuse_tokenizer(cat("'", list_key, "' is not a list"));
  for (const Json& one : *list) {
    auto done = read_steps(one, list_key, read, steps);
    if (!done) return done;
  }
  return {};
}

Result<NormalizerStep> normalizer_step(const Json& step) {
  static const std::map<std::string, NormalForm> forms = {{"NFC", NormalForm::nfc},
                                                          {"NFD", NormalForm::nfd},
                                                          {"NFKC", NormalForm::nfkc},
                                                          {"NFKD", NormalForm::nfkd}};
  const std::string type = type_of(step);
  const auto it = forms.find(type);
  if (it != forms.end()) return it->second;
  if (type == "Prepend") return Prepend{text_of(step, "prepend")};
  if (type == "Replace") return replace_step(step);
  return not_implemented(cat("normalizer '", type, "'"));
}

Result<PreTokenizerStep> split_step(const Json& step) {
  static const std::map<std::string, Separators> behaviors = {
      {"Isolated", Separators::isolated},
      {"Removed", Separators::removed},
      {"Contiguous", Separators::contiguous},
      {"MergedWithPrevious", Separators::merged_with_previous},
      {"MergedWithNext", Separators::merged_with_next}};
  const std::string name = text_of(step, "behavior", "(none)");
  const auto it = behaviors.find(name);
  if (it == behaviors.end()) return not_implemented(cat("Split with behavior '", name, "'"));
  auto pattern = read_pattern(step);
  if (!pattern) return tl::unexpected(pattern.error());
  return Splitter{*pattern, flag(step, "invert", false), it->second};
}

Result<Splitter> pattern_splitter(std::string_view text) {
  auto pattern = Regex::compile(text);
  if (!pattern) return tl::unexpected(pattern.error());
  return Splitter{*pattern, false, Separators::isolated};
}

Result<PreTokenizerStep> digits_step(const Json& step) {
  auto splitter = pattern_splitter(flag(step, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
  if (!splitter) return tl::unexpected(splitter.error());
  return std::move(*splitter);
}

Result<PreTokenizerStep> metaspace_step(const Json& step) {
  static const std::map<std::string, Metaspace::Prepend> schemes = {{"always", Metaspace::Prepend::always},
                                                                    {"first", Metaspace::Prepend::first},
                                                                    {"never", Metaspace::Prepend::never}};
  auto replacement = read_character(step, "replacement", {});
  if (!replacement) return tl::unexpected(replacement.error());
  const std::string name = text_of(step, "prepend_scheme", "always");
  const auto it = schemes.find(name);
  if (it == schemes.end()) return not_implemented(cat("Metaspace with prepend_scheme '", name, "'"));
  // Older files say add_prefix_space instead.
  const bool never = !flag(step, "add_prefix_space", true);
  return Metaspace{*replacement, never ? Metaspace::Prepend::never : it->second, flag(step, "split", true)};
}

Result<PreTokenizerStep> byte_level_step(const Json& step) {
  ByteLevel byte_level{flag(step, "add_prefix_space", true), {}};
  if (!flag(step, "use_regex", true)) return byte_level;
  auto splitter = pattern_splitter(kGpt2Pattern);
  if (!splitter) return tl::unexpected(splitter.error());
  byte_level.splitter.push_back(std::move(*splitter));
  return byte_level;
}

Result<PreTokenizerStep> pre_tokenizer_step(const Json& step) {
  const std::string type = type_of(step);
  if (type == "Split") return split_step(step);
  if (type == "Digits") return digits_step(step);
  if (type == "ByteLevel") return byte_level_step(step);
  if (type == "Metaspace") return metaspace_step(step);
  return not_implemented(cat("pre_tokenizer '", type, "'"));
}

std::size_t count_of(const Json& object, const char* key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_number_unsigned() ? value->get<std::size_t>() : 0;
}

Result<DecoderStep> decoder_step(const Json& step) {
  const std::string type = type_of(step);
  if (type == "ByteLevel") return LettersToBytes{};
  if (type == "ByteFallback") return BytesToText{};
  if (type == "Fuse") return Fuse{};
  if (type == "Replace") return replace_step(step);
  if (type == "Strip") {
    auto character = read_character(step, "content", " ");
    if (!character) return tl::unexpected(character.error());
    return Strip{*character, count_of(step, "start"), count_of(step, "stop")};
  }
  if (type == "Metaspace") {
    auto metaspace = metaspace_step(step);
    if (!metaspace) return tl::unexpected(metaspace.error());
    const auto& said = std::get<Metaspace>(*metaspace);
    return SpacesOfMetaspace{said.replacement, said.prepend != Metaspace::Prepend::never};
  }
  return not_implemented(cat("decoder '", type, "'"));
}

template <typename Step>
Result<std::vector<Step>> all_steps(const Json* item, const char* list_key,
                                    Result<Step> (*read)(const Json&)) {
  std::vector<Step> steps;
  if (item == nullptr) return steps;
  auto done = read_steps(*item, list_key, read, steps);
  if (!done) return tl::unexpected(done.error());
  return steps;
}

}  // namespace

tl::unexpected<Error> refuse_tokenizer(const std::string& what) {
  return fail(ExitCode::bad_data, what,
              "BPE tokenizers are read: byte-level ones (GPT-2, Llama 3, Qwen, ...) and SentencePiece's with "
              "byte_fallback (Llama 2, Vicuna, Mistral, Gemma, ...)");
}

tl::unexpected<Error> not_implemented(const std::string& what) {
  return refuse_tokenizer(cat(what, " is not implemented"));
}

std::string type_of(const Json& object) { return text_of(object, "type", "(none)"); }

bool flag(const Json& object, const char* key, bool fallback) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

Result<std::vector<NormalizerStep>> read_normalizer(const Json* normalizer) {
  return all_steps(normalizer, "normalizers", normalizer_step);
}

Result<std::vector<PreTokenizerStep>> read_pre_tokenizer(const Json* pre_tokenizer) {
  return all_steps(pre_tokenizer, "pretokenizers", pre_tokenizer_step);
}

Result<std::vector<DecoderStep>> read_decoder(const Json* decoder) {
  return all_steps(decoder, "decoders", decoder_step);
}

}  // namespace cornstarch::dataio
