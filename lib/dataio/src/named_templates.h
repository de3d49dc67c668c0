#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cornstarch::dataio {

/// A chat template of ours.
struct NamedTemplate {
  std::string_view name = {};
  std::string source = {};                    ///< marks answers with {% generation %}
  std::vector<std::string_view> tokens = {};  ///< what must be one token each
  bool adds_begin = false;                    ///< the begin token in front, if the tokenizer wants it there
  bool apart = false;                         ///< each turn is written and tokenised by itself

  bool needs(std::string_view variable) const { return !apart && source.find(variable) != std::string::npos; }
};

const std::vector<NamedTemplate>& named_templates();

}  // namespace cornstarch::dataio
