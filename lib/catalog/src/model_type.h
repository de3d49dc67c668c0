#pragma once

#include <string>
#include <vector>

#include "family.h"

/// Which model a config.json or the word `family` speaks of, before any other key is read: of another model,
/// every key may mean something else.
namespace cornstarch::catalog {

/// What is wrong ("model_type: ...") and what to do; both empty where nothing is.
struct TypeProblem {
  std::string problem;
  std::string help;
  bool whole_checkpoint = false;
};

/// `section` is what holds the family's keys: `config` itself, or a map within it called `name`.
TypeProblem check_model_type(const Family& family, const Json& config, const Json& section,
                             const std::string& name);

/// Whether HF's model_type is that of a checkpoint of several models: encoders and a language model.
bool is_whole_checkpoint(const std::string& model_type);
/// What to declare in its place.
std::string parts_help(const std::string& model_type);

/// The family whose config.json has this model_type; nothing if there is none.
const Family* family_of_type(const std::string& model_type);

/// Whether it is another model's name, and no slip of the pen, however near to one of ours.
bool is_other_model(const std::string& model_type);

/// Names of the families of language models, or of encoders.
std::vector<std::string> family_names(bool llm);
/// "known encoders: clip_vision_model, whisper"
std::string known_families(bool llm);

}  // namespace cornstarch::catalog
