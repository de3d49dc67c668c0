#include "checks.h"

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/run_data.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::app {
namespace {

/// The tokenizer opens and has what the chat template needs, and the LLM has an embedding for each of its
/// ids.
void check_tokenizer(const Resolved& run, Diagnostics& diagnostics) {
  const config::Data& data = run.loaded.config.data;
  const auto checked = dataio::check_tokenizer(data.tokenizer, dataio::token_texts(data),
                                               std::string(config::name_of(data.chat_template)));
  for (const dataio::TokenizerProblem& problem : checked.problems) {
    const SourceSpan where = run.loaded.where.at(problem.key);
    if (problem.severity == Severity::error)
      diagnostics.error(problem.code, problem.message, where, problem.help);
    else
      diagnostics.warning(problem.code, problem.message, where, problem.help);
  }
  const auto& tokenizer = checked.tokenizer;
  if (!tokenizer) return;
  const SourceSpan where = run.loaded.where.at("data.tokenizer");
  const std::int64_t vocabulary = run.modalities.back().spec.vocab_size;
  const std::int64_t highest = tokenizer->size() - 1;
  if (highest < vocabulary) return;
  diagnostics.error(
      "bad_tokenizer",
      cat("the tokenizer's highest token id is ", highest, " ('", tokenizer->decode({highest}),
          "'), but the LLM's vocab_size is ", vocabulary, ": it has no embedding for ids from ", vocabulary,
          " on"),
      where,
      run.loaded.config.model.llm.pretrained
          ? cat("take the tokenizer that belongs to the model, or give the model rows for all tokens: in "
                "Python, model.resize_token_embeddings(",
                highest + 1, ")")
          : cat("set vocab_size under model.llm.config to at least ", highest + 1));
}

/// The preprocessor_config.json beside an encoder's weights makes what the encoder takes.
void check_preprocessing(const Resolved& run, Diagnostics& diagnostics) {
  for (const catalog::Modality& encoder : run.modalities) {
    if (catalog::is_llm(encoder)) continue;
    const auto source = dataio::media_source(encoder);
    const auto checked =
        source ? dataio::check_source(*source) : Result<void>(tl::unexpected(source.error()));
    if (checked) continue;
    const std::string section = cat("model.encoders.", encoder.name);
    const bool folder = encoder.pretrained.has_value();
    diagnostics.error(
        "bad_preprocessor",
        folder ? cat("'", *encoder.pretrained, "': ", checked.error().message) : checked.error().message,
        run.loaded.where.at(section + (folder ? ".pretrained" : ".config")),
        folder ? "take the file that was published with these weights; without one, media are "
                 "prepared by its Hugging Face class's defaults, at the size that the encoder takes"
               : "");
  }
}

using Check = void (*)(const Resolved& run, Diagnostics& diagnostics);
constexpr Check kChecks[] = {check_tokenizer, check_preprocessing};

}  // namespace

void check_inputs(const Resolved& run, Diagnostics& diagnostics) {
  for (const Check check : kChecks) check(run, diagnostics);
}

}  // namespace cornstarch::app
