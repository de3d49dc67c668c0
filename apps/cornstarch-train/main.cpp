#include <algorithm>
#include <exception>

#include "console.h"
#include "cornstarch/base/error_of.h"
#include "cornstarch/base/text.h"
#include "verbs.h"
#include "version.h"

namespace cornstarch::app {

namespace {

using Words = std::vector<std::string>;

std::string overview() {
  std::string out =
      "Trains models that look, listen and answer in words, from one YAML file, in parallel.\n\n"
      "Usage: cornstarch-train [train] --config FILE [options]\n"
      "       cornstarch-train VERB [options]\n\n"
      "Examples:\n"
      "  cornstarch-train validate --config run.yaml\n"
      "  cornstarch-train plan --config run.yaml --world-size 54\n"
      "  mpirun -n 54 cornstarch-train --config run.yaml\n\n"
      "Verbs:\n";
  for (const Verb& verb : verbs()) {
    out += cat("  ", verb.name, std::string(12 - std::string(verb.name).size(), ' '), verb.summary, "\n");
  }
  return out +
         "\nOptions:\n  -h, --help  This text; after a verb, its own\n      --version  Versions of this "
         "program and "
         "of what it was built with\n";
}

const Verb* find_verb(const std::string& name) {
  const auto found =
      std::find_if(verbs().begin(), verbs().end(), [&](const Verb& v) { return name == v.name; });
  return found == verbs().end() ? nullptr : &*found;
}

ExitCode unknown_verb(const std::string& word) {
  if (word.ends_with(".yaml") || word.ends_with(".yml")) {
    return complain(
        {ExitCode::usage, cat("unexpected argument '", word, "'"), cat("did you mean --config ", word, "?")});
  }
  Words names;
  for (const Verb& verb : verbs()) names.emplace_back(verb.name);
  const std::string hint = did_you_mean(word, names);
  return complain({ExitCode::usage, cat("unknown verb '", word, "'"),
                   hint.empty() ? "the verbs are " + join(names, ", ") : hint});
}

ExitCode run_verb(const Verb& verb, const Words& words) {
  Options options(cat("cornstarch-train ", verb.name), verb.summary, verb.examples);
  const Run run = verb.declare(options);
  const auto asked = options.parse(words);
  if (!asked) return complain(asked.error());
  if (*asked == Options::Asked::help) return print_out(options.help());
  return run();
}

ExitCode dispatch(Words words) {
  if (words.empty()) {
    return complain({ExitCode::usage, "say what to do: a verb, or --config FILE to train",
                     "see cornstarch-train --help"});
  }
  const std::string first = words.front();
  if (first == "--version") return print_out(version_text());
  if (first == "-h" || first == "--help" || (first == "help" && words.size() == 1))
    return print_out(overview());
  if (first == "help") words = {words[1], "--help"};
  if (words.front().starts_with('-')) return run_verb(*find_verb("train"), words);
  const Verb* verb = find_verb(words.front());
  if (verb == nullptr) return unknown_verb(words.front());
  words.erase(words.begin());
  return run_verb(*verb, words);
}

}  // namespace

}  // namespace cornstarch::app

int main(int argc, char** argv) {
  using namespace cornstarch;
  try {
    return static_cast<int>(app::dispatch({argv + 1, argv + argc}));
  } catch (const std::exception& e) {
    return static_cast<int>(app::complain(error_of(e)));
  }
}
