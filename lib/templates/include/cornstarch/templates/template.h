#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/templates/value.h"

namespace cornstarch::templates {

/// What a template makes of a conversation.
struct Rendering {
  std::string text;
  /// What stands between {% generation %} and {% endgeneration %}: the bytes of answers, from, to.
  std::vector<std::pair<std::size_t, std::size_t>> answers;
};

/// A chat template as checkpoints come with: the part of Jinja that published ones use, under the options
/// that transformers renders them with. What is not supported is refused by its name and place; steps, depth
/// and output are bounded, since nobody may have looked at it.
class Template {
 public:
  /// `name` stands for the file in messages: "NAME:line:column: ...".
  static Result<Template> parse(std::string_view source, std::string name);

  Result<Rendering> render(const std::vector<Named>& variables) const;
  /// Whether it marks answers with {% generation %}.
  bool marks_answers() const;
  const std::string& name() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace cornstarch::templates
