#include <nlohmann/json.hpp>

#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/config/load.h"
#include "verbs.h"

namespace cornstarch::app {

namespace {

using Json = nlohmann::json;

/// Aliases work, but nobody needs to be led to them.
bool is_alias(const Json& schema) { return schema.value("description", "").rfind("The same as ", 0) == 0; }

/// The config's keys that --set can name: "batch.microbatch_size=". Maps with free keys end in a dot.
void collect_keys(const Json& root, const Json& schema, const std::string& path,
                  std::vector<std::string>& out) {
  if (schema.contains("$ref")) {
    const std::string ref = schema["$ref"];
    return collect_keys(root, root.at(Json::json_pointer(ref.substr(ref.find('#') + 1))), path, out);
  }
  const bool has_keys = schema.contains("properties");
  if (!has_keys && !path.empty()) {
    const Json type = schema.value("type", Json());  // or a list of this and null
    const bool free_keys = (type.is_array() ? type.front() : type) == "object";
    out.push_back(path + (free_keys ? "." : "="));
  }
  if (!has_keys) return;
  for (const auto& [key, value] : schema["properties"].items()) {
    if (!is_alias(value)) collect_keys(root, value, path.empty() ? key : cat(path, ".", key), out);
  }
}

std::vector<std::string> config_keys() {
  const Json schema = Json::parse(config::json_schema());
  std::vector<std::string> out;
  collect_keys(schema, schema, "", out);
  return out;
}

/// The cases of one verb: what to offer after a flag that takes a value, and otherwise its flags.
std::string verb_case(const Verb& verb, const std::vector<Flag>& flags) {
  std::string values, names;
  for (const Flag& flag : flags) {
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
  return cat("    ", verb.name, ")\n      case $previous in\n", values, "        *) words='", names,
             "' ;;\n      esac ;;\n");
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
             join(config_keys(), " "), R"('

_cornstarch_train() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words='' files=''
  local verb=${COMP_WORDS[1]}
  COMPREPLY=()
  [[ $previous == = || $current == = ]] && return
  [[ $verb == -* ]] && verb=train
  if ((COMP_CWORD == 1)) && [[ $current != -* ]]; then
    COMPREPLY=($(compgen -W ')",
             verb_names, R"( --config --help --version' -- "$current"))
    return
  fi
  case $verb in
)",
             cases, R"(    help) words=')", verb_names, R"(' ;;
  esac
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
