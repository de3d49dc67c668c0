#include "cornstarch/templates/value.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"

namespace cornstarch::templates {
namespace {

constexpr int kMaxDepth = 100;

int deeper(int depth) {
  if (depth >= kMaxDepth) refuse(cat("lists nested deeper than ", kMaxDepth, " levels"));
  return depth + 1;
}

const Value* find_in(const std::vector<Named>& items, std::string_view key) {
  for (const Named& item : items)
    if (item.first == key) return &item.second;
  return nullptr;
}

int depth_of(const Value& value) {
  if (const List* list = value.list()) return list->depth;
  if (const Dict* dict = value.dict()) return dict->depth;
  return 0;
}

/// As Python's repr(): the shortest digits that give the number back.
std::string float_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer;
  const auto spell = [&](std::chars_format format) {
    const auto done = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format);
    return std::string(buffer.data(), done.ptr);
  };
  const std::string scientific = spell(std::chars_format::scientific);
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  if (exponent < -4 || exponent >= 16) return scientific;
  const std::string fixed = spell(std::chars_format::fixed);
  return fixed.find('.') == std::string::npos ? fixed + ".0" : fixed;
}

/// Whether repr() shows a character as it is.
bool printable(utf8proc_int32_t code) {
  if (code == ' ') return true;
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

std::string letter_repr(std::string_view letter) {
  utf8proc_int32_t code = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(letter.data()),
                   static_cast<utf8proc_ssize_t>(letter.size()), &code);
  if (printable(code)) return std::string(letter);
  std::array<char, 16> spelled;
  const char* const form = code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(spelled.data(), spelled.size(), form, static_cast<unsigned>(code));
  return spelled.data();
}

std::string text_repr(const std::string& text) {
  const bool double_quotes = text.find('\'') != std::string::npos && text.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  for (const std::string_view letter : characters(text)) {
    if (letter == "\\" || letter[0] == quote) {
      out += cat('\\', letter);
    } else if (letter == "\n" || letter == "\r" || letter == "\t") {
      out += letter == "\n" ? "\\n" : letter == "\r" ? "\\r" : "\\t";
    } else {
      out += letter_repr(letter);
    }
  }
  return out + quote;
}

void write_json(const Value& value, const JsonForm& form, int level, std::string& out, Meter& meter) {
  meter.step();
  const auto add = [&](std::string_view part) {
    meter.bytes(part.size());
    out += part;
  };
  const auto line = [&](int at) {
    if (form.indent >= 0) add("\n" + std::string(static_cast<std::size_t>(form.indent * at), ' '));
  };
  const auto word = [&](const std::string& text) {
    meter.bytes(text.size());
    return nlohmann::json(text).dump(-1, ' ', form.ascii);
  };
  if (const std::string* text = value.text()) {
    add(word(*text));
  } else if (const List* list = value.list(); list != nullptr && !list->once) {
    out += '[';
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) add(form.comma);
      line(level + 1);
      write_json(list->items[i], form, level + 1, out, meter);
    }
    if (!list->items.empty()) line(level);
    out += ']';
  } else if (const Dict* dict = value.dict()) {
    std::vector<const Named*> items;
    for (const Named& item : dict->items) items.push_back(&item);
    if (form.sort_keys)
      std::sort(items.begin(), items.end(), [](auto* a, auto* b) { return a->first < b->first; });
    out += '{';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) add(form.comma);
      line(level + 1);
      add(word(items[i]->first));
      add(form.colon);
      write_json(items[i]->second, form, level + 1, out, meter);
    }
    if (!items.empty()) line(level);
    out += '}';
  } else if (value.none()) {
    out += "null";
  } else if (const bool* yes = value.get<bool>()) {
    out += *yes ? "true" : "false";
  } else if (value.number() && std::isfinite(*value.number())) {
    out += to_text(value, meter);
  } else {
    need_defined(value);
    refuse(cat(value.kind(), " cannot be written as JSON"));
  }
}

}  // namespace

void Meter::step(std::size_t n) {
  if (n > steps_) refuse("the template takes too many steps");
  steps_ -= n;
}

void Meter::bytes(std::size_t n) {
  if (n > bytes_) refuse("the template makes too much text");
  bytes_ -= n;
}

void Meter::search(std::string_view text, std::string_view needle) {
  bytes(text.size());
  step(text.size() / 256 * (needle.size() + 1));
}

void Meter::look_up(std::string_view key, const std::vector<Named>& items) {
  step(items.size() / 8);
  for (const Named& item : items)
    if (item.first.size() == key.size()) bytes(key.size());
}

const Value* Dict::find(std::string_view key, Meter& meter) const {
  meter.look_up(key, items);
  return find_in(items, key);
}

std::size_t List::take(std::size_t n) const {
  if (!once) return 0;
  if (under_way) refuse("what a loop has left of a generator is not known", "'list' makes a list of it");
  return std::exchange(taken, taken + std::min(n, items.size() - taken));
}

Value Value::of(List list) {
  int depth = 0;
  for (const Value& item : list.items) depth = std::max(depth, depth_of(item));
  list.depth = deeper(depth);
  Value value;
  value.data_ = std::make_shared<const List>(std::move(list));
  return value;
}

Value Value::list(std::vector<Value> items, bool tuple) { return of({std::move(items), tuple}); }

Value Value::generator(std::vector<Value> items) { return of({std::move(items), false, true}); }

Value Value::dict(std::vector<Named> items) {
  constexpr std::size_t kMaxKeys = 1000;  // they are looked up one by one
  if (items.size() > kMaxKeys) refuse(cat("a dict of more than ", kMaxKeys, " keys"));
  Dict dict;
  int depth = 0;
  for (Named& item : items) {
    depth = std::max(depth, depth_of(item.second));
    if (const Value* known = find_in(dict.items, item.first)) {
      *const_cast<Value*>(known) = std::move(item.second);
    } else {
      dict.items.push_back(std::move(item));
    }
  }
  dict.depth = deeper(depth);
  Value value;
  value.data_ = std::make_shared<const Dict>(std::move(dict));
  return value;
}

std::optional<std::int64_t> Value::integer() const {
  if (const bool* yes = get<bool>()) return *yes ? 1 : 0;
  if (const auto* number = get<std::int64_t>()) return *number;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* number = get<double>()) return *number;
  if (const auto whole = integer()) return static_cast<double>(*whole);
  return std::nullopt;
}

bool Value::truth() const {
  if (undefined() || none()) return false;
  if (const auto value = number()) return *value != 0;
  if (const std::string* it = text()) return !it->empty();
  if (const List* it = list()) return it->once || !it->items.empty();
  if (const Dict* it = dict()) return !it->items.empty();
  return true;
}

const char* Value::kind() const {
  static constexpr const char* kNames[] = {"what is undefined", "none",      "true or false", "a number",
                                           "a number",          "a text",    "a list",        "a dict",
                                           "a namespace",       "a function"};
  return once() ? "a generator" : kNames[data_.index()];
}

void refuse(std::string message, std::string help) { throw Refused{std::move(message), std::move(help)}; }

void need_defined(const Value& value) {
  if (const auto* undefined = value.get<Undefined>()) refuse(*undefined->why);
}

bool equal(const Value& a, const Value& b, Meter& meter) {
  meter.step();
  if (a.undefined() || a.none()) return a.undefined() == b.undefined() && a.none() == b.none();
  if (a.integer() && b.integer()) return *a.integer() == *b.integer();
  if (a.number()) return b.number() && *a.number() == *b.number();
  if (a.text() != nullptr) {
    if (b.text() == nullptr || a.text()->size() != b.text()->size()) return false;
    meter.bytes(a.text()->size());
    return *a.text() == *b.text();
  }
  if (const List* list = a.list()) {
    const List* other = b.list();
    if (a.once() || b.once()) return list == other;
    if (other == nullptr || list->items.size() != other->items.size() || list->tuple != other->tuple)
      return false;
    for (std::size_t i = 0; i < list->items.size(); ++i)
      if (!equal(list->items[i], other->items[i], meter)) return false;
    return true;
  }
  if (const Dict* dict = a.dict()) {
    const Dict* other = b.dict();
    if (other == nullptr || dict->items.size() != other->items.size()) return false;
    for (const Named& item : dict->items) {
      const Value* known = other->find(item.first, meter);
      if (known == nullptr || !equal(item.second, *known, meter)) return false;
    }
    return true;
  }
  if (a.space() != nullptr) return a.space() == b.space();
  refuse("functions cannot be compared");
}

int compare(const Value& a, const Value& b, Meter& meter) {
  need_defined(a);
  need_defined(b);
  if (a.integer() && b.integer()) return *a.integer() < *b.integer() ? -1 : *a.integer() > *b.integer();
  if (a.number() && b.number()) return *a.number() < *b.number() ? -1 : *a.number() > *b.number();
  if (a.text() == nullptr || b.text() == nullptr) refuse(cat(a.kind(), " and ", b.kind(), " have no order"));
  meter.bytes(std::min(a.text()->size(), b.text()->size()));
  return a.text()->compare(*b.text());
}

bool contains(const Value& container, const Value& item, Meter& meter) {
  if (container.undefined()) return false;
  if (const std::string* text = container.text()) {
    need_defined(item);
    if (item.text() == nullptr) refuse(cat("a text cannot hold ", item.kind()));
    meter.search(*text, *item.text());
    return text->find(*item.text()) != std::string::npos;
  }
  if (const List* list = container.list()) {
    for (std::size_t i = list->take(0); i < list->items.size(); ++i) {
      list->take(1);
      if (equal(list->items[i], item, meter)) return true;
    }
    return false;
  }
  if (const Dict* dict = container.dict()) {
    return item.text() != nullptr && dict->find(*item.text(), meter) != nullptr;
  }
  refuse(cat("'in' asks for a text, a list or a dict, not ", container.kind()));
}

std::string to_text(const Value& value, Meter& meter) {
  if (value.undefined()) return {};
  if (const std::string* text = value.text()) {
    meter.bytes(text->size());
    return *text;
  }
  return to_repr(value, meter);
}

std::string to_repr(const Value& value, Meter& meter) {
  meter.step();
  if (value.none()) return "None";
  if (value.undefined()) return "Undefined";
  if (const bool* yes = value.get<bool>()) return *yes ? "True" : "False";
  if (const auto whole = value.integer()) return std::to_string(*whole);
  if (const double* number = value.get<double>()) return float_text(*number);
  std::vector<std::string> parts;
  std::string out;
  if (const std::string* text = value.text()) {
    meter.bytes(text->size());
    out = text_repr(*text);
  } else if (const List* list = value.list(); list != nullptr && !list->once) {
    for (const Value& item : list->items) parts.push_back(to_repr(item, meter));
    const std::string inner = join(parts, ", ");
    out = !list->tuple ? cat('[', inner, ']') : cat('(', inner, parts.size() == 1 ? ",)" : ")");
  } else if (const Dict* dict = value.dict()) {
    for (const Named& item : dict->items) {
      meter.bytes(item.first.size());
      parts.push_back(cat(text_repr(item.first), ": ", to_repr(item.second, meter)));
    }
    out = cat('{', join(parts, ", "), '}');
  } else {
    refuse(cat(value.kind(), " cannot be written"));
  }
  meter.bytes(out.size());
  return out;
}

std::string to_json(const Value& value, const JsonForm& form, Meter& meter) {
  std::string out;
  write_json(value, form, 0, out, meter);
  return out;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const auto length = static_cast<std::size_t>(std::max(1, utf8_length(text)));
    out.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::vector<Value> items_of(const Value& value, Meter& meter) {
  std::vector<Value> out;
  if (value.undefined()) return out;
  if (const List* list = value.list()) {
    const std::size_t from = list->take(list->items.size());
    meter.bytes((list->items.size() - from) * sizeof(Value));
    return {list->items.begin() + static_cast<std::ptrdiff_t>(from), list->items.end()};
  }
  if (const std::string* text = value.text()) {
    meter.bytes(text->size() * (sizeof(Value) + sizeof(std::string)));
    for (const std::string_view letter : characters(*text)) out.emplace_back(letter);
    return out;
  }
  const Dict* dict = value.dict();
  if (dict == nullptr) refuse(cat(value.kind(), " cannot be gone through"));
  for (const Named& item : dict->items) {
    meter.bytes(sizeof(Value) + item.first.size());
    out.emplace_back(item.first);
  }
  return out;
}

std::optional<std::size_t> length_of(const Value& value, Meter& meter) {
  if (value.undefined()) return 0;
  if (const List* list = value.list(); list != nullptr && !list->once) return list->items.size();
  if (const Dict* dict = value.dict()) return dict->items.size();
  if (value.text() == nullptr) return std::nullopt;
  meter.bytes(value.text()->size());
  return static_cast<std::size_t>(
      std::count_if(value.text()->begin(), value.text()->end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace cornstarch::templates
