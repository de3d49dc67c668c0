#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/formats/safetensors.h"

namespace cornstarch::app {

/// A trained run whose parts came from a whole checkpoint.
struct TrainedWhole {
  std::filesystem::path whole;   ///< what they came from
  std::filesystem::path models;  ///< what the run wrote: a folder for each of `parts`
  catalog::Modalities parts;
};

/// What was written.
struct ExportedWhole {
  std::size_t tensors = 0;
  std::size_t trained = 0;  ///< those that the run made; the others are what they were, byte for byte
  std::vector<std::string> types = {};  ///< of the trained ones, where these are of another than they were
};

/// A matrix's rows as columns.
std::vector<std::byte> transposed(std::span<const std::byte> bytes, std::int64_t rows, std::int64_t columns,
                                  formats::DType dtype);

/// Writes the whole checkpoint anew, with what the run made of its parts: the same tensors by the same names
/// in files of the same names, and what else lies beside them. Adapters are added to the weights that they
/// are of.
Result<ExportedWhole> export_whole(const TrainedWhole& trained, const std::filesystem::path& out);

/// Writes the run's adapters as PEFT's of the whole checkpoint, and what else trained (a projector) as its
/// modules_to_save: PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(whole), out).
Result<ExportedWhole> export_adapters(const TrainedWhole& trained, const std::filesystem::path& out);

}  // namespace cornstarch::app
