#pragma once

#include <string>

#include "outline.h"

namespace cornstarch::config {

struct Suggestion {
  std::string help;  ///< never empty
  std::string key;   ///< the key of the same map that was likely meant, or ""
};

/// What may have been meant by a key that `object` does not have.
Suggestion suggest_key(const std::string& written, const Key& object);

/// What may have been meant by a value that is none of a choice's options, and what is allowed.
std::string suggest_choice(const std::string& written, const Key& choice);

}  // namespace cornstarch::config
