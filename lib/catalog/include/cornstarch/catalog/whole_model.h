#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/config/run_config.h"
#include "cornstarch/formats/safetensors.h"

/// Checkpoints of several models in one folder, as LLaVA's: what their parts are, and where. A part is read
/// from the whole, which stays as it is.
namespace cornstarch::catalog {

/// Where a model comes from: a Hugging Face folder, or a part of a whole checkpoint:
/// "llava-1.5-7b-hf#vision".
struct ModelPlace {
  std::filesystem::path folder;
  std::string part = {};  ///< "" where the folder is of one model
};

/// What `pretrained` names; a folder whose name has a '#' is itself.
ModelPlace place_of(const std::string& pretrained);

/// The config.json; of a part, what the whole's says of it, within the section where it does.
Result<std::string> read_model_config(const std::string& pretrained);

/// The weights of <stem>.safetensors, a part's under the names that a folder of its own would have. What is
/// of no part is counted to the language model.
Result<formats::WeightsFolder> open_weights(const std::string& pretrained, const std::string& stem = "model");

/// Whether a projector lies with an encoder's weights.
bool has_projector(const std::string& pretrained);

/// What prepares an encoder's media: its text, or nothing where there is none.
Result<std::optional<std::string>> read_preprocessor(const std::string& pretrained);

/// The names of the parts of a model_type, encoders first; none where it is not known.
std::vector<std::string> parts_of_whole(const std::string& model_type);
/// Those that are known.
std::vector<std::string> whole_models();

/// A whole checkpoint as a run trains it.
struct WholeModel {
  std::string model_type;
  config::Model model;  ///< families, parts, projectors, features, masks
};
/// Every problem of its config.json is in the error.
Result<WholeModel> read_whole(const std::filesystem::path& folder);

/// Where a tensor of a whole checkpoint belongs.
struct PartName {
  std::string part;  ///< "vision", "projector", "llm", or "" where it is of none
  std::string name;  ///< in a folder of the part alone
  bool transposed = false;
};
PartName part_name(const std::string& model_type, const std::string& tensor);

/// The other way round: what transformers' class of the whole has called a part's tensor since version 4.52.
formats::WeightsFolder::Renamed name_in_class(const std::string& model_type, const PartName& name);

}  // namespace cornstarch::catalog
