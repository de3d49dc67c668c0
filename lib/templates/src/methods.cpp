#include <utf8proc.h>

#include <array>
#include <set>

#include "arguments.h"
#include "cornstarch/base/utf8.h"

namespace cornstarch::templates {
namespace {

using Made = std::string;

/// strip(), lstrip() and rstrip(): white space, or any of some characters.
std::string_view stripped(std::string_view text, const std::string* letters, bool start, bool end,
                          Meter& meter) {
  if (letters == nullptr)
    return start && end ? trim_unicode(text) : start ? trim_start(text) : trim_end(text);
  meter.bytes(letters->size() * sizeof(std::string_view));
  const auto all = characters(*letters);
  const std::set<std::string_view> set(all.begin(), all.end());
  while (start && !text.empty()) {
    const auto length = static_cast<std::size_t>(std::max(1, utf8_length(text)));
    if (set.count(text.substr(0, length)) == 0) break;
    text.remove_prefix(length);
  }
  while (end && !text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (text[last] & 0xC0) == 0x80) --last;
    if (set.count(text.substr(last)) == 0) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

/// Characters of which upper() makes several, which utf8proc does not know.
bool grows(utf8proc_int32_t code) {
  return code == 0xDF || code == 0x149 || code == 0x1F0 || code == 0x390 || code == 0x3B0 || code == 0x587 ||
         (code >= 0x1E96 && code <= 0x1E9A) || (code >= 0x1F50 && code <= 0x1FFC) ||
         (code >= 0xFB00 && code <= 0xFB17);
}

/// upper() and lower() of a text.
std::string in_case(std::string_view text, bool upper) {
  std::string out;
  for (const std::string_view letter : characters(text)) {
    utf8proc_int32_t code = 0;
    utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(letter.data()), std::ssize(letter), &code);
    const bool odd = upper ? grows(code) : code == 0x130 || code == 0x3A3;  // the dotted I, and sigma
    if (odd) refuse(cat(upper ? "upper" : "lower", "() of '", letter, "' is not supported"));
    out += utf8_of(static_cast<unsigned>(upper ? utf8proc_toupper(code) : utf8proc_tolower(code)));
  }
  return out;
}

void need_ascii(std::string_view text, const char* what) {
  for (const char c : text)
    if ((c & 0x80) != 0) refuse(cat(what, "() of letters beyond ASCII is not supported"));
}

/// The first letter of each word in upper case, or of the whole text.
std::string titled(const std::string& text, bool every_word) {
  need_ascii(text, every_word ? "title" : "capitalize");
  std::string out = in_case(text, false);
  bool inside = false;
  for (char& c : out) {
    const bool letter = c >= 'a' && c <= 'z';
    if (letter && !inside) c = static_cast<char>(c - 32);
    inside = letter || !every_word;
  }
  return out;
}

Value texts(const std::vector<std::string_view>& parts, Meter& meter) {
  std::vector<Value> out;
  for (const std::string_view part : parts) {
    meter.bytes(sizeof(Value) + sizeof(std::string) + part.size());
    out.emplace_back(part);
  }
  return Value::list(std::move(out));
}

std::vector<std::string_view> split_at_space(std::string_view text, std::int64_t most, bool from_end) {
  std::vector<std::string_view> out;
  text = from_end ? trim_end(text) : trim_start(text);
  while (!text.empty()) {
    std::size_t at = 0;
    if (most >= 0 && std::ssize(out) == most) {
      out.push_back(from_end ? trim_end(text) : text);
      break;
    }
    if (from_end) {
      for (at = text.size(); at > 0 && trim_end(text.substr(0, at)).size() == at;) {
        --at;
        while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
      }
      out.push_back(text.substr(at));
      text = trim_end(text.substr(0, at));
    } else {
      while (at < text.size() && trim_start(text.substr(at)).size() == text.size() - at)
        at += static_cast<std::size_t>(std::max(1, utf8_length(text.substr(at))));
      out.push_back(text.substr(0, at));
      text = trim_start(text.substr(at));
    }
  }
  if (from_end) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> split_at(std::string_view text, const std::string& separator, std::int64_t most,
                                       bool from_end) {
  if (separator.empty()) refuse("an empty separator");
  std::vector<std::string_view> out;
  while (most < 0 || std::ssize(out) < most) {
    const std::size_t at = from_end ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    out.push_back(from_end ? text.substr(at + separator.size()) : text.substr(0, at));
    text = from_end ? text.substr(0, at) : text.substr(at + separator.size());
  }
  out.push_back(text);
  if (from_end) std::reverse(out.begin(), out.end());
  return out;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  static const std::set<std::string_view> kEnds = {
      "\n", "\r", "\v", "\f", "\x1C", "\x1D", "\x1E", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"};
  std::vector<std::string_view> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto length = static_cast<std::size_t>(std::max(1, utf8_length(text.substr(at))));
    const bool ends = kEnds.count(text.substr(at, length)) > 0;
    const std::size_t here = at;
    at += length;
    if (!ends) continue;
    out.push_back(text.substr(begin, here - begin));
    if (text[here] == '\r' && at < text.size() && text[at] == '\n') ++at;
    begin = at;
  }
  if (begin < text.size()) out.push_back(text.substr(begin));
  return out;
}

std::string replaced(std::string_view text, const std::string& old, const std::string& with,
                     std::int64_t most, Meter& meter) {
  std::string out;
  const auto add = [&](std::string_view part) {
    meter.bytes(part.size());
    out += part;
  };
  std::int64_t done = 0;
  if (old.empty()) {
    for (const std::string_view letter : characters(text)) {
      if (most < 0 || done++ < most) add(with);
      add(letter);
    }
    if (most < 0 || done < most) add(with);
    return out;
  }
  for (std::size_t at = 0; most < 0 || done < most; ++done) {
    at = text.find(old);
    if (at == std::string_view::npos) break;
    add(text.substr(0, at));
    add(with);
    text.remove_prefix(at + old.size());
  }
  add(text);
  return out;
}

/// startswith() and endswith() of one text, or of any of a tuple.
bool stands_at(std::string_view text, const Value& wanted, bool end, Meter& meter) {
  const auto stands = [&](const Value& part) {
    need_defined(part);
    if (part.text() == nullptr) refuse(cat("a text cannot begin or end with ", part.kind()));
    meter.step();
    meter.bytes(std::min(part.text()->size(), text.size()));
    return end ? text.ends_with(*part.text()) : text.starts_with(*part.text());
  };
  if (const List* list = wanted.list(); list != nullptr && list->tuple)
    return std::any_of(list->items.begin(), list->items.end(), stands);
  return stands(wanted);
}

std::int64_t place_of(std::string_view text, std::size_t at) {
  if (at == std::string_view::npos) return -1;
  return std::ssize(characters(text.substr(0, at)));
}

std::string joined(const std::string& between, const std::vector<Value>& items, Meter& meter) {
  std::string out;
  for (std::size_t i = 0; i < items.size(); ++i) {
    need_defined(items[i]);
    if (items[i].text() == nullptr) refuse(cat("join() asks for texts, not ", items[i].kind()));
    meter.bytes(items[i].text()->size() + between.size());
    out += (i > 0 ? between : "") + *items[i].text();
  }
  return out;
}

std::int64_t count_of(std::string_view text, const std::string& part) {
  if (part.empty()) return std::ssize(characters(text)) + 1;
  std::int64_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

constexpr std::array<std::string_view, 20> kOfTexts = {
    "strip",    "lstrip", "rstrip", "split",        "rsplit",       "splitlines", "startswith",
    "endswith", "upper",  "lower",  "title",        "capitalize",   "replace",    "find",
    "rfind",    "count",  "join",   "removeprefix", "removesuffix", "isdigit"};
constexpr std::array<std::string_view, 4> kOfDicts = {"get", "items", "keys", "values"};

Value text_method(std::string_view name, const std::string& text, const Arguments& arguments, Meter& meter) {
  meter.bytes(text.size());
  if (name == "strip" || name == "lstrip" || name == "rstrip") {
    const Given given(name, arguments, {"chars"});
    const std::string* const letters = given.has(0) ? &given.text(0) : nullptr;
    return Made(stripped(text, letters, name != "rstrip", name != "lstrip", meter));
  }
  if (name == "split" || name == "rsplit") {
    const Given given(name, arguments, {"sep", "maxsplit"});
    const bool from_end = name == "rsplit";
    const std::int64_t most = given.whole(1, -1);
    if (!given.has(0)) return texts(split_at_space(text, most, from_end), meter);
    meter.search(text, given.text(0));
    return texts(split_at(text, given.text(0), most, from_end), meter);
  }
  if (name == "startswith" || name == "endswith") {
    const Given given(name, arguments, {"prefix"});
    return stands_at(text, given.any(0), name == "endswith", meter);
  }
  if (name == "replace") {
    const Given given(name, arguments, {"old", "new", "count"});
    meter.search(text, given.text(0));
    return replaced(text, given.text(0), given.text(1), given.whole(2, -1), meter);
  }
  if (name == "find" || name == "rfind" || name == "count") {
    const Given given(name, arguments, {"sub"});
    const std::string& part = given.text(0);
    meter.search(text, part);
    if (name == "count") return count_of(text, part);
    return place_of(text, name == "find" ? text.find(part) : text.rfind(part));
  }
  if (name == "removeprefix" || name == "removesuffix") {
    const std::string& part = Given(name, arguments, {"part"}).text(0);
    const bool end = name == "removesuffix";
    const bool there = !part.empty() && (end ? text.ends_with(part) : text.starts_with(part));
    return there ? text.substr(end ? 0 : part.size(), text.size() - part.size()) : text;
  }
  if (name == "join") return joined(text, items_of(Given(name, arguments, {"items"}).any(0), meter), meter);
  const Given none(name, arguments, {});
  if (name == "splitlines") return texts(lines_of(text), meter);
  if (name == "upper" || name == "lower") return in_case(text, name == "upper");
  if (name == "isdigit") {
    need_ascii(text, "isdigit");
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  }
  return titled(text, name == "title");
}

Value dict_method(std::string_view name, const Dict& dict, const Arguments& arguments, Meter& meter) {
  meter.step(dict.items.size());
  meter.bytes(dict.items.size() * sizeof(Value));
  if (name == "get") {
    const Given given(name, arguments, {"key", "default"});
    const std::string* const key = given.any(0).text();
    const Value* found = key == nullptr ? nullptr : dict.find(*key, meter);
    if (found != nullptr) return *found;
    return arguments.values.size() > 1 ? given.any(1) : Value();
  }
  const Given none(name, arguments, {});
  std::vector<Value> out;
  for (const Named& item : dict.items) {
    if (name != "values") meter.bytes(item.first.size());
    if (name == "items")
      out.push_back(Value::list({Value(item.first), item.second}, true));
    else
      out.push_back(name == "keys" ? Value(item.first) : item.second);
  }
  return Value::list(std::move(out));
}

}  // namespace

bool has_method(std::string_view name) { return is_in(kOfTexts, name) || is_in(kOfDicts, name); }

Value call_method(std::string_view name, const Value& value, const Arguments& arguments, Meter& meter) {
  need_defined(value);
  if (value.text() != nullptr && is_in(kOfTexts, name))
    return text_method(name, *value.text(), arguments, meter);
  if (value.dict() != nullptr && is_in(kOfDicts, name))
    return dict_method(name, *value.dict(), arguments, meter);
  refuse(cat(value.kind(), " has no method '", name, "'"));
}

Value attribute_of(const Value& value, std::string_view name, Meter& meter) {
  need_defined(value);
  if (const Namespace* space = value.space()) {
    meter.step(space->items.size());
    for (const Named& item : space->items)
      if (item.first == name) return item.second;
  }
  if (const Dict* dict = value.dict()) {
    if (is_in(kOfDicts, name)) refuse(cat("the method '", name, "' without a call is not supported"));
    if (const Value* found = dict->find(name, meter)) return *found;
  }
  if (value.text() != nullptr && is_in(kOfTexts, name))
    refuse(cat("the method '", name, "' without a call is not supported"));
  meter.bytes(name.size());
  return Undefined{cat(value.kind(), " has no attribute '", name, "'")};
}

namespace {

/// A place counted from the end where it is below zero; nothing if there is none.
std::optional<std::size_t> place_in(std::int64_t index, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  if (index < 0) index += length;
  return index < 0 || index >= length ? std::nullopt : std::optional(static_cast<std::size_t>(index));
}

}  // namespace

Value item_of(const Value& value, const Value& key, Meter& meter) {
  need_defined(value);
  if (const std::string* name = key.text()) {
    if (const Dict* dict = value.dict())
      if (const Value* found = dict->find(*name, meter)) return *found;
    return attribute_of(value, *name, meter);
  }
  const auto index = key.integer();
  if (index && value.list() != nullptr && !value.once()) {
    if (const auto at = place_in(*index, value.list()->items.size())) return value.list()->items[*at];
  } else if (index && value.text() != nullptr) {
    meter.bytes(value.text()->size());
    const auto all = characters(*value.text());
    if (const auto at = place_in(*index, all.size())) return Value(all[*at]);
  }
  return Undefined{cat(value.kind(), " has no item ", index ? std::to_string(*index) : key.kind())};
}

Value slice_of(const Value& value, const Value& start, const Value& stop, const Value& step, Meter& meter) {
  need_defined(value);
  if (value.once()) refuse("a generator has no slices", "'list' makes a list of it");
  if (value.list() == nullptr && value.text() == nullptr)
    return Undefined{cat(value.kind(), " has no slices")};
  const auto bound = [](const Value& given) -> std::optional<std::int64_t> {
    if (given.none()) return std::nullopt;
    need_defined(given);
    if (!given.integer()) refuse(cat("a slice goes by whole numbers, not ", given.kind()));
    return given.integer();
  };
  const std::vector<Value> items = items_of(value, meter);
  const auto size = std::ssize(items);
  const std::int64_t by = bound(step).value_or(1);
  if (by == 0) refuse("a slice with a step of 0");
  const std::int64_t lowest = by > 0 ? 0 : -1, highest = by > 0 ? size : size - 1;
  const auto clamp = [&](std::optional<std::int64_t> given, std::int64_t otherwise) {
    if (!given) return otherwise;
    const std::int64_t place = *given < 0 ? std::max(*given, -size - 1) + size : *given;
    return std::min(std::max(place, lowest), highest);
  };
  const std::int64_t from = clamp(bound(start), by > 0 ? 0 : size - 1),
                     to = clamp(bound(stop), by > 0 ? size : -1);
  const std::int64_t stride = std::min(std::max(by, -size - 1), size + 1);
  std::vector<Value> out;
  for (std::int64_t i = from; by > 0 ? i < to : i > to; i += stride)
    out.push_back(items[static_cast<std::size_t>(i)]);
  if (value.text() != nullptr) return joined({}, out, meter);
  return Value::list(std::move(out), value.list()->tuple);
}

}  // namespace cornstarch::templates
