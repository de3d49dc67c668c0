#pragma once

#include <string>
#include <vector>

#include "cornstarch/config/run_config.h"
#include "hf_config.h"

namespace cornstarch::catalog {

/// A model within a whole checkpoint.
struct WholePart {
  std::string name;     ///< "vision": of the modality, and behind the '#' of a place
  std::string section;  ///< of the whole's config.json
  std::string type;     ///< the section's model_type, where it names none
  bool always = false;  ///< ... or another: HF's class does not ask
  bool flat = false;    ///< without the section, the file's own keys are the part's
};

/// What tensors are called whose names begin so.
struct NameRule {
  std::string whole;  ///< in the whole
  std::string part;   ///< whose they are: a part's name, or "projector"
  std::string own;    ///< in a folder of the part, in its place
  bool transposed = false;
};

/// HF's class of what prepares media, by what its name begins with, and the one that does the same of an item
/// alone.
struct ProcessorRule {
  std::string whole, own;
};

/// What one kind of whole checkpoint looks like.
struct WholeSpec {
  std::string model_type;
  std::vector<WholePart> parts;  ///< encoders, then the language model
  std::vector<NameRule> names;   ///< the first that fits counts
  std::vector<ProcessorRule> processors = {};
  config::AttentionMask attention_mask = config::AttentionMask::causal;
  /// Reads how an encoder's features come to the language model; what we cannot do is a problem.
  void (*connect)(HfConfig& whole, const ModelSpec& encoder, config::Encoder& out);
};

/// Nothing if it is not known.
const WholeSpec* find_whole_spec(const std::string& model_type);
const std::vector<WholeSpec>& whole_specs();

/// How the features of a whole checkpoint's encoder come to its language model, where that can be read.
std::optional<config::Encoder> connection_of(const std::string& pretrained);

}  // namespace cornstarch::catalog
