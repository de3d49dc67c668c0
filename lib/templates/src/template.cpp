#include "cornstarch/templates/template.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"
#include "lexer.h"
#include "parser.h"
#include "renderer.h"

namespace cornstarch::templates {
namespace {

constexpr std::size_t kMaxSource = std::size_t{1} << 20;

bool has_generation(const std::vector<Statement>& statements) {
  return std::any_of(statements.begin(), statements.end(), [](const Statement& statement) {
    return statement.kind == Statement::Kind::generation ||
           std::any_of(statement.branches.begin(), statement.branches.end(),
                       [](const auto& branch) { return has_generation(branch.body); });
  });
}

}  // namespace

struct Template::State {
  std::string name, source;
  std::vector<Statement> statements;
  bool marks_answers = false;

  /// "NAME:line:column: ...", or "NAME refuses it: ..." in the template's own words.
  Error error(const Refused& refused) const {
    if (refused.by_template) return {ExitCode::bad_data, cat(name, " refuses it: ", refused.message), {}};
    const std::string_view before = std::string_view(source).substr(0, refused.at.value_or(0));
    const std::size_t line = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    return {ExitCode::bad_data,
            cat(name, ':', 1 + std::count(before.begin(), before.end(), '\n'), ':',
                1 + characters(before.substr(line)).size(), ": ", refused.message),
            refused.help};
  }
};

Result<Template> Template::parse(std::string_view source, std::string name) {
  if (source.size() > kMaxSource)
    return fail(ExitCode::bad_data, cat(name, ": a template of more than 1 MiB"));
  if (!is_utf8(source)) return fail(ExitCode::bad_data, cat(name, ": the template is not UTF-8"));
  auto state = std::make_shared<State>();
  state->name = std::move(name);
  state->source = normalize_lines(source);
  try {
    state->statements = templates::parse(state->source);
  } catch (const Refused& refused) {
    return tl::unexpected(state->error(refused));
  }
  state->marks_answers = has_generation(state->statements);
  Template out;
  out.state_ = std::move(state);
  return out;
}

Result<Rendering> Template::render(const std::vector<Named>& variables) const {
  try {
    return Renderer(variables).run(state_->statements);
  } catch (const Refused& refused) {
    return tl::unexpected(state_->error(refused));
  }
}

bool Template::marks_answers() const { return state_->marks_answers; }

const std::string& Template::name() const { return state_->name; }

}  // namespace cornstarch::templates
