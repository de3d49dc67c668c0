#include "suggest.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "cornstarch/base/text.h"

namespace cornstarch::config {
namespace {

struct Known {
  std::string word;  ///< a name, an alias or a hint
  std::string name;
  std::string parent;  ///< the path of the map that holds the key
  bool hint = false;
};

void collect_words(const Key& key, const std::string& parent, std::vector<Known>& out) {
  out.push_back({key.name, key.name, parent});
  for (const std::string& alias : key.rules.aliases) out.push_back({alias, key.name, parent});
  for (const std::string& hint : key.rules.hints) out.push_back({hint, key.name, parent, true});
}

void collect(const Key& object, const std::string& path, std::vector<Known>& out) {
  for (const Key& key : object.children) {
    collect_words(key, path, out);
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

/// The name that `written` is nearest to, over names, aliases and hints.
const Known* nearest_known(const std::string& written, const std::vector<Known>& known) {
  std::vector<std::string> words;
  for (const Known& k : known) words.push_back(k.word);
  const auto word = nearest(written, words);
  if (!word) return nullptr;
  return &*std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.word == *word; });
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

/// Whose name or other word `written` is nearest to.
const Key::Option* nearest_option(const std::string& written, const Key& choice) {
  std::vector<std::string> words;
  std::vector<const Key::Option*> options;  // of each word
  for (const Key::Option& option : choice.options) {
    words.push_back(option.name);
    words.insert(words.end(), option.hints.begin(), option.hints.end());
    options.resize(words.size(), &option);
  }
  const auto word = nearest(written, words);
  if (!word) return nullptr;
  return options[static_cast<std::size_t>(std::find(words.begin(), words.end(), *word) - words.begin())];
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
  std::vector<Known> here;
  for (const Key& key : object.children) collect_words(key, "", here);
  const std::string elsewhere = belongs_under(written);
  if (const Known* known = nearest_known(written, here)) {
    std::string help = cat("did you mean '", known->name, "'?");
    if (!elsewhere.empty()) help += cat(" (", elsewhere, ")");
    return {help, known->name};
  }
  if (!elsewhere.empty()) return {elsewhere, ""};
  if (const Known* known = nearest_known(written, all_keys())) {
    return {cat("did you mean '", known->parent, known->parent.empty() ? "" : ".", known->name, "'?"), ""};
  }
  std::vector<std::string> names;
  for (const Key& key : object.children) names.push_back(key.name);
  return {cat("known here: ", join(names, ", ")), ""};
}

}  // namespace cornstarch::config
