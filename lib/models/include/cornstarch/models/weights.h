#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cornstarch/base/checked.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/models/stage.h"

namespace cornstarch::models {

/// Fills the shards from an HF folder (model.safetensors or model.safetensors.index.json; an encoder's
/// projector from projector.safetensors if the folder has one), reading only the slices it needs. Throws
/// Failure (bad_data, missing_input) listing every missing weight and wrong shape. A projector without a file
/// keeps its initial values.
void load_pretrained(const std::filesystem::path& folder, const catalog::Modality& modality,
                     std::vector<Parameter>& parameters);

/// The first values of a modality's parameters: what its pretrained folder has, as load_pretrained, and else
/// drawn from seed and name, the same for every layout.
class FirstValues {
 public:
  FirstValues(const catalog::Modality& modality, std::uint64_t seed);
  ~FirstValues();

  /// These elements of the flattened shard; by default all.
  void fill(Parameter& parameter);
  void fill(Parameter& parameter, Range elements);
  /// After the last of them: throws Failure (bad_data) listing every missing weight and wrong shape.
  void check() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One full (global) tensor of a modality on the CPU.
struct NamedTensor {
  std::string name;
  at::Tensor value;
};

/// Writes folder/model.safetensors, config.json and, for an encoder, projector.safetensors and
/// projector_config.json: what load_pretrained and transformers read. A tied lm_head is left out, as HF does.
/// In `dtype`, or in fp32 (said in the log) where a finite weight would not be finite in it.
void save_pretrained(const std::filesystem::path& folder, const catalog::Modality& modality,
                     std::vector<NamedTensor> tensors, at::ScalarType dtype);

}  // namespace cornstarch::models
