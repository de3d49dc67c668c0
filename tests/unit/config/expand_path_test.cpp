#include "expand_path.h"

#include <cstdlib>
#include <filesystem>

#include "fixture.h"

namespace cornstarch::config::test {
namespace {

/// Sets a variable of the environment and puts back what was there.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    set(value);
  }
  ~Variable() { set(old_ ? old_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) { value ? ::setenv(name_, value, 1) : ::unsetenv(name_); }
  const char* name_;
  std::optional<std::string> old_;
};

/// What a path becomes, or "part: message; help".
std::string expanded(const std::string& written) {
  const auto out = expand_path(written);
  return out ? *out : cat(out.error().part, ": ", out.error().message, "; ", out.error().help);
}

TEST_CASE("Home, variables, defaults and dollars of a path") {
  const Variable home("HOME", "/home/anna"), disk("CORNSTARCH_DISK", "/disk"), empty("CORNSTARCH_EMPTY", ""),
      dollar("CORNSTARCH_DOLLAR", "a${b}$"), unset("CORNSTARCH_UNSET", nullptr);
  CHECK(expanded("~") == "/home/anna");
  CHECK(expanded("~/x") == "/home/anna/x");
  CHECK(expanded("a/~/b~") == "a/~/b~");
  CHECK(expanded("${HOME}/x") == "/home/anna/x");
  CHECK(expanded("a/${CORNSTARCH_DISK}/b${CORNSTARCH_DISK}") == "a//disk/b/disk");
  CHECK(expanded("${CORNSTARCH_DISK:-/other}") == "/disk");
  CHECK(expanded("${CORNSTARCH_UNSET:-/other/}x") == "/other/x");
  CHECK(expanded("${CORNSTARCH_EMPTY:-other}") == "other");
  CHECK(expanded("${CORNSTARCH_UNSET:-~/runs}/1") == "/home/anna/runs/1");
  CHECK(expanded("${CORNSTARCH_UNSET:-${CORNSTARCH_EMPTY:-${CORNSTARCH_DISK}}/b}/c") == "/disk/b/c");
  CHECK(expanded("a$$b$${HOME}$$") == "a$b${HOME}$");
  CHECK(expanded("${CORNSTARCH_DOLLAR}") == "a${b}$");  // a value is not expanded again
  CHECK(expanded("") == "");
}

TEST_CASE("What cannot be expanded, with the remedy") {
  const Variable home("HOME", nullptr), empty("CORNSTARCH_EMPTY", ""), bytes("CORNSTARCH_BYTES", "\xff");
  CHECK(expanded("~/x") ==
        "~: the variable HOME is not set; set it, or write a default: ${HOME:-folder}; "
        "$$ stands for a dollar");
  CHECK(expanded("a/${CORNSTARCH_EMPTY}/b") ==
        "${CORNSTARCH_EMPTY}: the variable CORNSTARCH_EMPTY is empty; set it, or write a default: "
        "${CORNSTARCH_EMPTY:-folder}; $$ stands for a dollar");
  CHECK(expanded("${CORNSTARCH_BYTES:-a}") ==
        "${CORNSTARCH_BYTES:-a}: the variable CORNSTARCH_BYTES is no UTF-8 text; ");
  CHECK(expanded("~root") ==
        "~root: '~root' is not expanded: only your own home is, as ~; "
        "write the folder out, or ./~root for one of that name");
  CHECK(expanded("$HOME/x") == "$HOME: '$HOME' is not expanded; write ${HOME}, or $$ for a dollar");
  CHECK(expanded("a$1") == "$: '$' is not expanded; write $$ for a dollar");
  CHECK(expanded("$$$") == "$: '$' is not expanded; write $$ for a dollar");
  CHECK(expanded("${A:-${B}") ==
        "${A:-${B}: '${A:-${B}' lacks a '}'; "
        "write ${NAME} or ${NAME:-default}; $$ stands for a dollar");
  CHECK(expanded("x${1A}") ==
        "${1A}: '${1A}' names no variable; write ${NAME} or ${NAME:-default}; $$ stands for a dollar");
}

TEST_CASE("All paths of a config are expanded, in the file and in --set, and the dump loads to the same") {
  const Variable home("HOME", "/home/anna"), disk("CORNSTARCH_DISK", "disk$1");
  const Loaded loaded = good(
      "model:\n"
      "  encoders: {v: {family: f, pretrained: ~/clip, placeholder: \"${HOME}\"}}\n"
      "  llm: {family: llama, pretrained: \"${CORNSTARCH_DISK}/llama\"}\n"
      "batch: {global_size: 4, sequence_length: 16}\n"
      "data:\n"
      "  train: [{path: \"~/a.jsonl\", media_root: \"${HOME}/../pictures/\"}]\n"
      "  tokenizer: a$$/t.json\n"
      "steps: 2\n"
      "run_dir: ${CORNSTARCH_RUNS:-~/runs}/1\n",
      {"data.eval=[{path: ~/e.jsonl}]", "data.eval[0].media_root=${CORNSTARCH_DISK}"});
  const RunConfig& c = loaded.config;
  CHECK(c.model.encoders.at(0).pretrained == "/home/anna/clip");
  CHECK(c.model.encoders.at(0).placeholder == "${HOME}");  // no path
  CHECK(c.model.llm.pretrained == "/base/disk$1/llama");
  CHECK(c.data.train.at(0).path == "/home/anna/a.jsonl");
  CHECK(c.data.train.at(0).media_root == "/home/pictures");
  CHECK(c.data.tokenizer == "/base/a$/t.json");
  CHECK(c.data.eval.at(0).path == "/home/anna/e.jsonl");
  CHECK(c.data.eval.at(0).media_root == (std::filesystem::current_path() / "disk$1").string());
  CHECK(c.run_dir == "/home/anna/runs/1");
  CHECK(loaded.where.at("data.eval[0].media_root").line_text == "data.eval[0].media_root=${CORNSTARCH_DISK}");

  const std::string text = dump(c);
  CHECK(text.find("tokenizer: \"/base/a$$/t.json\"\n") != std::string::npos);
  CHECK(dump(good(text).config) == text);
  CHECK(good(text).config.data.tokenizer == "/base/a$/t.json");
}

}  // namespace
}  // namespace cornstarch::config::test
