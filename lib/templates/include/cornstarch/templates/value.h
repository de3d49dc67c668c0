#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What Jinja templates compute with: Python's values, as far as chat templates need them.
namespace cornstarch::templates {

/// Thrown inside of the interpreter only: what is wrong, and the byte of the template where it is.
struct Refused {
  std::string message;
  std::string help = {};
  std::optional<std::size_t> at = {};
  bool by_template = false;  ///< the template's own words, by raise_exception()
};

class Value;
using Named = std::pair<std::string, Value>;

/// What a rendering may still cost. Templates come with checkpoints that nobody has looked through.
class Meter {
 public:
  void step(std::size_t n = 1);
  /// A text or list that is made, or looked through.
  void bytes(std::size_t n);
  /// Looking for `needle` in `text` byte by byte.
  void search(std::string_view text, std::string_view needle);
  /// Comparing a key with those of `items`.
  void look_up(std::string_view key, const std::vector<Named>& items);

 private:
  std::size_t steps_ = 2'000'000, bytes_ = std::size_t{128} << 20;
};

struct Statement;
struct Namespace;

struct List {
  std::vector<Value> items;
  bool tuple = false;  ///< as repr() spells it
  bool once = false;   ///< gone through once, always true, without length: Python's generators, reversed()
  int depth = 1;
  mutable std::size_t taken = 0;   ///< how many are, of what is gone through once
  mutable bool under_way = false;  ///< a loop goes through it, or was left by `break`: which are is not known

  /// The first item that is left. Takes `n`, where items go once.
  std::size_t take(std::size_t n) const;
};
/// In the order of insertion.
struct Dict {
  std::vector<Named> items;
  int depth = 1;
  const Value* find(std::string_view key, Meter& meter) const;
};
struct Undefined {
  explicit Undefined(std::string text) : why(std::make_shared<const std::string>(std::move(text))) {}
  std::shared_ptr<const std::string> why;  ///< "'x' is undefined"; may hold a long key, so copies share it
};
struct None {};
struct Function {
  std::string_view name;
  const Statement* macro = nullptr;  ///< nothing: a function of this name that is always there
};

class Value {
 public:
  using Text = std::shared_ptr<const std::string>;
  using Lists = std::shared_ptr<const List>;
  using Dicts = std::shared_ptr<const Dict>;

  Value() : data_(None{}) {}
  Value(Undefined undefined) : data_(std::move(undefined)) {}
  Value(Function function) : data_(function) {}
  Value(Namespace* space) : data_(space) {}
  Value(bool yes) : data_(yes) {}
  Value(std::int64_t number) : data_(number) {}
  Value(double number) : data_(number) {}
  Value(std::string text) : data_(std::make_shared<const std::string>(std::move(text))) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  static Value list(std::vector<Value> items, bool tuple = false);
  static Value generator(std::vector<Value> items);
  /// Of keys that are equal, the last one's value. Charges nothing: who makes keys does.
  static Value dict(std::vector<Named> items);

  template <typename T>
  const T* get() const {
    return std::get_if<T>(&data_);
  }
  const std::string* text() const { return get<Text>() ? get<Text>()->get() : nullptr; }
  const List* list() const { return get<Lists>() ? get<Lists>()->get() : nullptr; }
  const Dict* dict() const { return get<Dicts>() ? get<Dicts>()->get() : nullptr; }
  Namespace* space() const { return get<Namespace*>() ? *get<Namespace*>() : nullptr; }
  bool undefined() const { return get<Undefined>() != nullptr; }
  bool none() const { return get<None>() != nullptr; }
  bool once() const { return list() != nullptr && list()->once; }
  /// An integer, or a bool as one.
  std::optional<std::int64_t> integer() const;
  /// Any number.
  std::optional<double> number() const;

  bool truth() const;
  /// "a text", "a list", ... for messages.
  const char* kind() const;

 private:
  static Value of(List list);

  std::variant<Undefined, None, bool, std::int64_t, double, Text, Lists, Dicts, Namespace*, Function> data_;
};

/// Owned by the rendering, since it may hold itself.
struct Namespace {
  std::vector<Named> items;
};

/// Refuses what is undefined where a value is needed.
[[noreturn]] void refuse(std::string message, std::string help = {});
void need_defined(const Value& value);

bool equal(const Value& a, const Value& b, Meter& meter);
/// Below, equal or above zero; refused if Python cannot order them.
int compare(const Value& a, const Value& b, Meter& meter);
bool contains(const Value& container, const Value& item, Meter& meter);

/// str() and repr().
std::string to_text(const Value& value, Meter& meter);
std::string to_repr(const Value& value, Meter& meter);

struct JsonForm {
  int indent = -1;  ///< on one line
  bool ascii = false, sort_keys = false;
  std::string comma = ", ", colon = ": ";
};
std::string to_json(const Value& value, const JsonForm& form, Meter& meter);

/// The items that a loop goes through: of a text its characters, of a dict its keys, of a generator those
/// that are left.
std::vector<Value> items_of(const Value& value, Meter& meter);
/// len(); nothing if it has none.
std::optional<std::size_t> length_of(const Value& value, Meter& meter);
std::vector<std::string_view> characters(std::string_view text);

}  // namespace cornstarch::templates
