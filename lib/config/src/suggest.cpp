#include "suggest.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

#include "cornstarch/base/text.h"
#include "foreign_keys.h"
#include "slips.h"

namespace cornstarch::config {
namespace {

struct Known {
  std::string word;  ///< a name, an alias or a hint
  std::string name;
  std::string parent;  ///< the path of the map that holds the key
  std::string doc;
  bool hint = false;
};

void collect_words(const Key& key, const std::string& parent, std::vector<Known>& out) {
  out.push_back({key.name, key.name, parent, key.doc});
  for (const std::string& alias : key.rules.aliases) out.push_back({alias, key.name, parent, key.doc});
  for (const std::string& hint : key.rules.hints) out.push_back({hint, key.name, parent, key.doc, true});
}

void collect(const Key& object, const std::string& path, std::vector<Known>& out) {
  for (const Key& key : object.children) {
    collect_words(key, path, out);
    // What a section says of a part belongs in general under the one of its name at the top.
    if (!path.empty() && outline().child(key.name) != nullptr) continue;
    const std::string own = path.empty() ? key.name : cat(path, ".", key.name);
    if (key.kind == Key::Kind::object) collect(key, own, out);
    if (key.kind == Key::Kind::named) collect(key.children[0], own + ".<name>", out);
    if (key.kind == Key::Kind::list && key.children[0].kind == Key::Kind::object) {
      collect(key.children[0], own + "[...]", out);
    }
  }
}

const std::vector<Known>& all_keys() {
  static const std::vector<Known> keys = [] {
    std::vector<Known> out;
    collect(outline(), "", out);
    return out;
  }();
  return keys;
}

/// Upper and lower case, '-' and '_' alike.
std::string plain(std::string word) {
  for (char& c : word) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return word;
}

std::string path_of(const Known& known) {
  return known.parent.empty() ? known.name : cat(known.parent, ".", known.name);
}

/// A word of one part, such as "name", means something else in every place.
bool is_specific(const std::string& word) { return word.find_first_of("_-") != std::string::npos; }

/// The key that `written` is a slip of: near to one of our names, or all but equal to another trainer's,
/// whose names are too much alike to guess among (save_steps is not max_steps).
const Known* nearest_known(const std::string& written, const std::vector<Known>& known) {
  std::vector<std::string> names;
  for (const Known& k : known)
    if (!k.hint) names.push_back(k.word);
  std::optional<std::string> word = nearest(written, names);
  const std::string plainly = written.size() < 64 ? plain(written) : "";
  for (const Known& k : known) {
    if (!word && k.hint && is_specific(k.word) && edit_distance(plainly, k.word) <= 1) word = k.word;
  }
  if (!word) return nullptr;
  return &*std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.word == *word; });
}

std::string first_sentence(const std::string& text) {
  const std::size_t end = text.find(". ");
  return end == std::string::npos ? text : text.substr(0, end + 1);
}

/// What `written` is called here, if it is another trainer's name for some of `known`.
std::optional<Suggestion> translation(const std::string& written, const std::vector<Known>& known) {
  std::vector<std::string> paths;
  const Known* first = nullptr;
  for (const Known& k : known) {
    if (!k.hint || k.word != plain(written)) continue;
    if (first && first->doc != k.doc) return std::nullopt;  // it stands for different keys
    if (!first) first = &k;
    paths.push_back(cat("'", path_of(k), "'"));
  }
  if (!first) return std::nullopt;
  return Suggestion{cat("here it is ", join(paths, " or "), ": ", first_sentence(first->doc)), first->name};
}

/// "'tp' belongs under 'model.llm.parallel'", if the key exists elsewhere.
std::string belongs_under(const std::string& written) {
  std::vector<std::string> parents;
  for (const Known& k : all_keys()) {
    if (k.hint || k.word != written) continue;
    if (k.parent.empty()) return cat("'", written, "' belongs at the top of the config");
    parents.push_back(cat("'", k.parent, "'"));
  }
  if (parents.empty()) return {};
  return cat("'", written, "' belongs under ", join(parents, " or "));
}

std::string digits_of(std::string text) {
  std::erase_if(text, [](char c) { return c < '0' || c > '9'; });
  return text;
}

/// Whose other word `written` is, or whose name it is nearest to. Another number is no slip: zero2 is not
/// zero1.
const Key::Option* nearest_option(const std::string& written, const Key& choice) {
  std::vector<std::string> names;
  for (const Key::Option& option : choice.options) {
    const auto& hints = option.hints;
    if (std::find(hints.begin(), hints.end(), plain(written)) != hints.end()) return &option;
    if (digits_of(option.name) == digits_of(written)) names.push_back(option.name);
  }
  const auto name = nearest(written, names);
  if (!name) return nullptr;
  return &*std::find_if(choice.options.begin(), choice.options.end(),
                        [&](const Key::Option& option) { return option.name == *name; });
}

}  // namespace

std::string suggest_choice(const std::string& written, const Key& choice) {
  std::vector<std::string> names;
  for (const Key::Option& option : choice.options) names.push_back(option.name);
  const Key::Option* meant = nearest_option(written, choice);
  const std::string allowed = join(names, ", ");
  if (meant == nullptr) return cat("allowed: ", allowed);
  return cat("did you mean '", meant->name, "'? Allowed: ", allowed);
}

Suggestion suggest_key(const std::string& written, const Key& object) {
  if (const auto slip = unspaced(written)) {
    const Key* key = object.child(slip->key);
    return {cat("write ", slip->mended), key ? key->name : ""};
  }
  std::vector<Known> here;
  for (const Key& key : object.children) collect_words(key, "", here);
  const std::string elsewhere = belongs_under(written);
  if (const auto known = translation(written, here)) return *known;
  if (elsewhere.empty()) {
    const auto known = translation(written, all_keys());
    if (known && is_specific(written)) return {known->help, ""};
    if (const std::string help = foreign_key_help(plain(written)); !help.empty()) return {help, ""};
  }
  if (const Known* known = nearest_known(written, here)) {
    std::string help = cat("did you mean '", known->name, "'?");
    if (!elsewhere.empty()) help += cat(" (", elsewhere, ")");
    return {help, known->name};
  }
  if (!elsewhere.empty()) return {elsewhere, ""};
  if (const Known* known = nearest_known(written, all_keys())) {
    return {cat("did you mean '", path_of(*known), "'?"), ""};
  }
  std::vector<std::string> names;
  for (const Key& key : object.children) names.push_back(key.name);
  return {cat("known here: ", join(names, ", ")), ""};
}

}  // namespace cornstarch::config
