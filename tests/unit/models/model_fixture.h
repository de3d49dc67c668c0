#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <string>
#include <vector>

#include "catch.h"
#include "cornstarch/base/random.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/models/stage.h"

/// Models to test with, and what one rank or several make of them.
namespace fixture {

using cornstarch::catalog::Modality;

/// Standard normal values in fp64, the same in every run.
inline at::Tensor noise(const std::vector<std::int64_t>& shape, std::uint64_t seed) {
  at::Tensor out = at::empty(shape, at::kDouble);
  const cornstarch::Philox philox(seed);
  double* data = out.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < out.numel(); ++i) data[i] = philox.normal(static_cast<std::uint64_t>(i));
  return out;
}

/// A modality in which everything trains and everything but pooled outputs is used.
inline Modality modality(const std::string& name, const std::string& family, const std::string& config) {
  const cornstarch::catalog::SpecResult result = cornstarch::catalog::make_spec(family, config);
  INFO(cornstarch::join(result.problems, "\n"));
  REQUIRE(result.spec.has_value());
  Modality m;
  m.name = name;
  m.spec = *result.spec;
  for (auto& module : m.spec.modules) {
    const auto* norm = std::get_if<cornstarch::catalog::Norm>(&module.body);
    m.used.push_back(norm == nullptr || !norm->pooled_only);
    cornstarch::catalog::set_trains(module, m.used.back());
  }
  return m;
}

/// The family of a folder in tests/golden/models: its name up to the first "_".
inline std::string family_of(const std::string& golden) {
  const std::string family = golden.substr(0, golden.find('_'));
  if (family == "gemma3") return "gemma3_text";
  if (family == "qwen2audio") return "qwen2_audio_encoder";
  if (family == "qwen2vl") return "qwen2_vl_text";
  if (family == "qwen2vlvision") return "qwen2_vl_vision";
  if (family == "qwen25vlvision") return "qwen2_5_vl_vision";
  if (family == "qwen25vl") return "qwen2_5_vl_text";
  return family == "clip" || family == "siglip" ? family + "_vision_model" : family;
}

/// How the modality's blocks are to run.
inline cornstarch::plan::ModalityPlan where_of(const Modality& m, int tp) {
  cornstarch::plan::ModalityPlan where;
  where.tp = tp;
  where.tp_sequence_parallel = m.tp_sequence_parallel;
  where.checkpointing = m.checkpointing;
  return where;
}

/// Appends a projector to `out` features; hidden: "mlp", else "linear".
void add_projector(Modality& m, std::int64_t out, bool mlp);

/// Small models whose sizes tensor parallelism divides unevenly: MLP width and vocabulary are prime.
Modality llama(bool tied);
Modality clip();
Modality whisper();

std::vector<int> all_modules(const Modality& m);

/// Runs `modules` on one rank.
cornstarch::models::Stage whole(const Modality& m, at::ScalarType dtype = at::kDouble,
                                std::uint64_t seed = 7);

/// How the modules are cut: the first index of every stage but the first.
std::vector<std::vector<int>> cut(const Modality& m, const std::vector<int>& at);

/// What goes in: for an encoder media; for the LLM ids, labels and features.
struct Input {
  at::Tensor media;
  at::Tensor ids, labels;
  std::vector<at::Tensor> features;
};
Input input_of(const Modality& m);

/// What comes out, put together from all ranks; gradients by name, those of tied parameters added up.
struct Outcome {
  at::Tensor output;  ///< an encoder's features, or the LLM's loss
  std::map<std::string, at::Tensor> gradients;
  std::vector<at::Tensor> feature_gradients;
};

/// Forward and backward of the stages, one after the other, on `tp` ranks. The gradient of an encoder's
/// output is noise. Checks that replicas of a parameter get the same gradient, and every rank the same
/// output.
Outcome run(const Modality& m, const std::vector<std::vector<int>>& stages, int tp, const Input& input);

}  // namespace fixture
