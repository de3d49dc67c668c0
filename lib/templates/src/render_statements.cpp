#include <algorithm>
#include <utility>

#include "renderer.h"

namespace cornstarch::templates {

Renderer::Renderer(const std::vector<Named>& variables) : scopes_(1) {
  for (const Named& variable : variables) scopes_[0].names.insert_or_assign(variable.first, variable.second);
}

Rendering Renderer::run(const Statements& statements) {
  run_all(statements);
  return std::move(out_);
}

Renderer::Flow Renderer::run_all(const Statements& statements) {
  for (const Statement& statement : statements) {
    const Flow flow = placed(statement.at, [&] { return run_one(statement); });
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

Renderer::Flow Renderer::run_scoped(const Statements& statements) {
  scopes_.emplace_back();
  const Flow flow = run_all(statements);
  scopes_.pop_back();
  return flow;
}

Renderer::Flow Renderer::run_one(const Statement& statement) {
  using Kind = Statement::Kind;
  switch (statement.kind) {
    case Kind::data:
      put(statement.text);
      return Flow::on;
    case Kind::output:
      put(to_text(value_of(statement.values[0]), meter_));
      return Flow::on;
    case Kind::choice:
      for (const Statement::Branch& branch : statement.branches)
        if (value_of(branch.condition).truth()) return run_all(branch.body);
      return Flow::on;
    case Kind::loop:
      return loop(statement);
    case Kind::set:
      set(statement, value_of(statement.values[0]));
      return Flow::on;
    case Kind::set_block:
      set(statement, captured(statement.branches[0].body, {}));
      return Flow::on;
    case Kind::macro:
      scopes_.back().names.insert_or_assign(statement.text, Function{statement.text, &statement});
      return Flow::on;
    case Kind::generation:
      return generation(statement);
    case Kind::stop:
      return Flow::stop;
    case Kind::next:
      return Flow::next;
  }
  return Flow::on;
}

void Renderer::put(std::string_view text) {
  meter_.bytes(text.size());
  (capture_ == nullptr ? out_.text : *capture_) += text;
}

Renderer::Flow Renderer::generation(const Statement& statement) {
  const std::size_t begin = out_.text.size();
  const Flow flow = run_scoped(statement.branches[0].body);
  out_.answers.emplace_back(begin, out_.text.size());
  return flow;
}

Value Renderer::captured(const Statements& statements, Scope scope) {
  std::string text;
  std::string* const before = std::exchange(capture_, &text);
  scopes_.push_back(std::move(scope));
  run_all(statements);
  scopes_.pop_back();
  capture_ = before;
  return text;
}

void Renderer::set(const Statement& statement, Value value) {
  if (!statement.text.empty()) {
    Namespace* space = find(statement.text).space();
    if (space == nullptr) refuse(cat("'", statement.text, "' is no namespace"));
    put_in(*space, statement.targets[0], std::move(value));
  } else {
    assign(statement.targets, std::move(value));
  }
}

void Renderer::put_in(Namespace& space, const std::string& name, Value value) {
  meter_.step(space.items.size());
  for (Named& item : space.items)
    if (item.first == name) return void(item.second = std::move(value));
  space.items.emplace_back(name, std::move(value));
}

void Renderer::assign(const std::vector<std::string>& targets, Value value) {
  auto& names = scopes_.back().names;
  if (targets.size() == 1) return void(names.insert_or_assign(targets[0], std::move(value)));
  const std::vector<Value> items = items_of(value, meter_);
  if (items.size() != targets.size()) refuse(cat(items.size(), " values for ", targets.size(), " names"));
  for (std::size_t i = 0; i < items.size(); ++i) names.insert_or_assign(targets[i], items[i]);
}

Renderer::Flow Renderer::loop(const Statement& statement) {
  const Value source = value_of(statement.values[0]);
  std::vector<Value> items = items_of(source, meter_);
  if (source.once()) source.list()->under_way = !items.empty();
  if (statement.values.size() > 1) {
    std::vector<Value> kept;
    for (const Value& item : items) {
      scopes_.emplace_back();
      assign(statement.targets, item);
      if (value_of(statement.values[1]).truth()) kept.push_back(item);
      scopes_.pop_back();
    }
    items = std::move(kept);
  }
  if (source.once() && items.empty()) source.list()->under_way = false;
  if (items.empty() && statement.branches.size() > 1) return run_scoped(statement.branches[1].body);
  for (std::size_t i = 0; i < items.size(); ++i) {
    scopes_.emplace_back();
    assign(statement.targets, items[i]);
    scopes_.back().names.insert_or_assign("loop", loop_of(items, i));
    const Flow flow = run_all(statement.branches[0].body);
    scopes_.pop_back();
    if (flow == Flow::stop) return Flow::on;
  }
  if (source.once()) source.list()->under_way = false;
  return Flow::on;
}

Value Renderer::loop_of(const std::vector<Value>& items, std::size_t at) {
  const auto i = static_cast<std::int64_t>(at), n = std::ssize(items);
  const Value none(Undefined{"there is no such item"});
  return Value::dict({{"index0", i},
                      {"index", i + 1},
                      {"first", i == 0},
                      {"last", i + 1 == n},
                      {"length", n},
                      {"revindex", n - i},
                      {"revindex0", n - i - 1},
                      {"previtem", i > 0 ? items[at - 1] : none},
                      {"nextitem", i + 1 < n ? items[at + 1] : none},
                      {"depth", std::int64_t{1}},  // more in recursive loops only
                      {"depth0", std::int64_t{0}}});
}

}  // namespace cornstarch::templates
