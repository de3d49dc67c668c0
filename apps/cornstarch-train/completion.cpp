#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/families.h"
#include "cornstarch/config/load.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

constexpr std::string_view kEncoder = "model.encoders.*.";

/// What --set may name, as words that end in '=', or in a dot where more must follow: all keys but the
/// encoders', or those of one encoder.
std::string key_words(bool of_encoder) {
  std::vector<std::string> out;
  if (!of_encoder) out.emplace_back("model.encoders.");
  for (const config::KeyInfo& key : config::keys()) {
    const bool is_encoders = key.path.rfind(kEncoder, 0) == 0;
    if (is_encoders != of_encoder) continue;
    const std::string name = of_encoder ? key.path.substr(kEncoder.size()) : key.path;
    out.push_back(name + (key.is_map ? "." : "="));
  }
  return join(out, " ");
}

std::string families(bool llm) {
  std::vector<std::string> out;
  for (const auto& family : catalog::families())
    if ((family.kind == catalog::ModelKind::llm) == llm) out.push_back(family.name);
  return join(out, " ");
}

/// The cases of --set: what to offer as the value of a key.
std::string value_cases() {
  std::string out = cat("    model.llm.family) words='", families(true), "' ;;\n    ", kEncoder,
                        "family) words='", families(false), "' ;;\n");
  std::string paths =
      "data.train\\[*].path | data.train\\[*].media_root | data.eval\\[*].path | data.eval\\[*].media_root";
  for (const config::KeyInfo& key : config::keys()) {
    if (key.is_path) paths += cat(" | ", key.path);
    if (!key.values.empty()) out += cat("    ", key.path, ") words='", join(key.values, " "), "' ;;\n");
  }
  return cat(out, "    ", paths, ") files=yes ;;\n");
}

/// The cases of one verb: what to offer after a flag that takes a value, and otherwise its flags.
std::string verb_case(const Verb& verb, const std::vector<Flag>& flags) {
  std::string values, names, others;
  for (const Flag& flag : flags) {
    if (flag.name.empty()) {
      others = "; [[ $current == -* ]] || files=yes";
      continue;
    }
    names += (names.empty() ? "" : " ") + flag.name;
    if (!flag.choices.empty()) {
      values += cat("        ", flag.name, ") words='", join(flag.choices, " "), "' ;;\n");
    } else if (flag.takes == Flag::Takes::file) {
      values += cat("        ", flag.name, ") files=yes ;;\n");
    } else if (flag.takes == Flag::Takes::config_key) {
      values += cat("        ", flag.name, ") words=$_cornstarch_train_keys ;;\n");
    } else if (flag.takes == Flag::Takes::text) {
      values += cat("        ", flag.name, ") words='' ;;\n");
    }
  }
  return cat("    ", verb.name, ")\n      case $previous in\n", values, "        *) words='", names, "'",
             others, " ;;\n      esac ;;\n");
}

std::string bash_script() {
  std::string verb_names, cases;
  for (const Verb& verb : verbs()) {
    Options options(verb.name, verb.summary, verb.examples);
    verb.declare(options);
    verb_names += (verb_names.empty() ? "" : " ") + std::string(verb.name);
    cases += verb_case(verb, options.flags());
  }
  return cat(R"(# bash completion for cornstarch-train; made by: cornstarch-train completion bash
_cornstarch_train_keys=')",
             key_words(false), R"('
_cornstarch_train_encoder_keys=')",
             key_words(true), R"('

# What may stand behind KEY= in --set.
_cornstarch_train_value() {
  case $1 in
)",
             value_cases(), R"(  esac
}

_cornstarch_train() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words='' files='' key='' name
  local verb=${COMP_WORDS[1]}
  COMPREPLY=()
  [[ $verb == -* ]] && verb=train
  # bash takes '=' for a word of its own: --set precision = fp32, --config = run.yaml
  if [[ $current == = ]]; then
    key=$previous current=''
  elif [[ $previous == = ]] && ((COMP_CWORD > 2)); then
    key=${COMP_WORDS[COMP_CWORD-2]}
  fi
  [[ $key == --* ]] && previous=$key
  if ((COMP_CWORD == 1)) && [[ $current != -* ]]; then
    COMPREPLY=($(compgen -W ')",
             verb_names, R"( help --config --help --version' -- "$current"))
    return
  fi
  if [[ -n $key && $key != --* ]]; then
    _cornstarch_train_value "$key"
  else
    case $verb in
)",
             cases, R"(    help) words=')", verb_names, R"(' ;;
    esac
    if [[ $words == "$_cornstarch_train_keys" && $current =~ ^(model\.encoders\.[A-Za-z0-9_]+\.) ]]; then
      for name in $_cornstarch_train_encoder_keys; do words+=" ${BASH_REMATCH[1]}$name"; done
    fi
  fi
  if [[ -n $files ]]; then
    compopt -o filenames
    COMPREPLY=($(compgen -f -- "$current"))
    return
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=.] ]]; then compopt -o nospace; fi
}

complete -F _cornstarch_train cornstarch-train
)");
}

}  // namespace

Run declare_completion(Options& options) {
  auto shell = std::make_shared<std::string>();
  options.word("shell", *shell, {"bash"}, "The shell");
  return [shell] {
    if (shell->empty()) {
      return complain(
          {ExitCode::usage, "which shell? bash is the one we know", "cornstarch-train completion bash"});
    }
    return print_out(bash_script());
  };
}

}  // namespace cornstarch::app
