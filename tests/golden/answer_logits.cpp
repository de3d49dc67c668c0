// What a model says to questions, and the logits that it says it by: answer_logits CONFIG QUESTIONS TOKENS
// OUT
//
// For check_curves.py. CONFIG names pretrained parts, as `import` writes it; QUESTIONS is a file as `generate
// --questions` takes it, its media beside it; OUT is a safetensors file. Of each line i it has `ids.i` (the
// prompt's, -1 - e where encoder e's features stand), `said.i` (TOKENS ids, whether an end is among them or
// not) and `logits.i` [TOKENS, vocab], all computed in fp64.

#include <ATen/core/Tensor.h>
#include <ATen/ops/stack.h>

#include <cstdio>
#include <filesystem>

#include "cornstarch/base/error_of.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "cornstarch/dataio/prompt.h"
#include "cornstarch/dataio/run_data.h"
#include "cornstarch/formats/safetensors.h"
#include "cornstarch/generate/decoder.h"
#include "cornstarch/models/text.h"
#include "cornstarch/models/tokens.h"

namespace {

using namespace cornstarch;
namespace fs = std::filesystem;

struct Model {
  config::Loaded loaded;
  catalog::Modalities modalities;
};

Model model_of(const char* file) {
  Diagnostics diagnostics;
  auto loaded = config::load(file, {}, diagnostics);
  auto modalities = loaded ? catalog::resolve(*loaded, diagnostics) : std::nullopt;
  if (!modalities) throw Failure(ExitCode::usage, render_text(diagnostics));
  return {std::move(*loaded), std::move(*modalities)};
}

using Tensors = std::vector<std::pair<std::string, at::Tensor>>;

void answer(generate::Decoder& decoder, const dataio::Prompt& prompt, int tokens, std::size_t number,
            Tensors& out) {
  std::vector<at::Tensor> logits = {decoder.begin(prompt)};
  std::vector<std::int64_t> said = {logits.back().argmax().item<std::int64_t>()};
  while (std::ssize(said) < tokens) {
    logits.push_back(decoder.go_on(said.back()));
    said.push_back(logits.back().argmax().item<std::int64_t>());
  }
  out.emplace_back(cat("ids.", number), models::index_tensor(prompt.ids));
  out.emplace_back(cat("said.", number), models::index_tensor(said));
  out.emplace_back(cat("logits.", number), at::stack(logits).contiguous());
}

void write(const fs::path& path, const Tensors& tensors) {
  std::vector<formats::TensorToWrite> all;
  for (const auto& [name, tensor] : tensors)
    all.push_back({name,
                   tensor.scalar_type() == at::kDouble ? formats::DType::f64 : formats::DType::i64,
                   tensor.sizes().vec(),
                   {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  value_or_throw(formats::write_safetensors(path, all));
}

void run(const char* const* words) {
  const Model model = model_of(words[0]);
  const auto prompter = value_or_throw(dataio::Prompter::make(
      value_or_throw(dataio::conversation_options(model.loaded.config, model.modalities, {}))));
  generate::Decoder decoder(model.modalities, at::kDouble, at::kCPU);
  Tensors out;
  std::size_t number = 0;
  for (const std::string& line : split(value_or_throw(read_file(words[1])), '\n')) {
    if (trim(line).empty()) continue;
    const auto asked = value_or_throw(dataio::read_asked(line));
    answer(decoder, value_or_throw(prompter(asked, fs::absolute(words[1]).parent_path())),
           std::stoi(words[2]), number++, out);
  }
  write(words[3], out);
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) {
    std::fputs("usage: answer_logits CONFIG QUESTIONS TOKENS OUT\n", stderr);
    return 2;
  }
  try {
    run(words + 1);
    return 0;
  } catch (const std::exception& e) {
    std::fputs((error_of(e).message + "\n").c_str(), stderr);
    return 1;
  }
}
