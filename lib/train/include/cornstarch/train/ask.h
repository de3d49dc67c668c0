#pragma once

#include <string>
#include <vector>

#include "cornstarch/generate/sampling.h"

namespace cornstarch::train {

struct AskOptions {
  std::string prompt, system;  ///< without a prompt, questions are read from standard input as they are typed
  std::vector<std::string> images, audios;
  std::string questions;   ///< a JSONL file: each line is answered
  std::string media_root;  ///< of the questions; by default the file's folder
  std::string out;         ///< of the questions: by default standard output
  generate::Sampling sampling;
  std::int64_t max_tokens = 256;
};

/// Asks the model of a resolved config, as it is in its `pretrained` folders. Answers go to standard output
/// as they come. Returns the exit code; what went wrong has been printed.
int ask(const std::string& config_text, const AskOptions& options);

}  // namespace cornstarch::train
