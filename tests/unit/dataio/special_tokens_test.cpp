#include "catch.h"
#include "cornstarch/dataio/tokenizer.h"
#include "golden.h"

using namespace cornstarch::dataio;
using cornstarch::ExitCode;
using cornstarch::Severity;

namespace {

/// A folder with a tokenizer of <pad> (0), </s> (1), <|endoftext|> (2), <｜end▁of▁sentence｜> (700),
/// <｜begin｜> (701).
class Model {
 public:
  Model() {
    json_ = golden::json("tokenizer_gpt2.json");
    add("<｜end▁of▁sentence｜>", 700);
    add("<｜begin｜>", 701);
    write();
  }
  void post_processor(const nlohmann::json& processor) {
    json_["post_processor"] = processor;
    write();
  }
  void add(const std::string& content, int id) {
    json_["added_tokens"].push_back({{"id", id}, {"content", content}, {"special", true}});
    write();
  }
  void say(const std::string& name, const nlohmann::json& json) { folder.write(name, json.dump()); }
  Tokenizer load(const TokenTexts& special = {}) const {
    return cornstarch::value_or_throw(Tokenizer::load(folder.path(), special));
  }
  std::string problem(const TokenTexts& special = {}, const std::string& chat = "plain") const {
    std::vector<std::string> lines;
    for (const TokenizerProblem& p : check_tokenizer(folder.path(), special, chat).problems)
      lines.push_back(cornstarch::cat(p.severity == Severity::error ? "error" : "warning", " [", p.code, "] ",
                                      p.key, ": ", p.message, p.help.empty() ? "" : " | ", p.help));
    return cornstarch::join(lines, "\n");
  }

  golden::Folder folder;

 private:
  void write() { folder.write("tokenizer.json", json_.dump()); }
  nlohmann::json json_;
};

const nlohmann::json kDeepSeek = {
    {"add_bos_token", true},
    {"bos_token", {{"__type", "AddedToken"}, {"content", "<｜begin｜>"}, {"normalized", true}}},
    {"eos_token", {{"__type", "AddedToken"}, {"content", "<｜end▁of▁sentence｜>"}}},
    {"pad_token", "<｜end▁of▁sentence｜>"}};

}  // namespace

TEST_CASE("special tokens come from tokenizer_config.json") {
  Model model;
  CHECK(model.load().end_id() == 1);  // by its name
  model.say("tokenizer_config.json", kDeepSeek);
  const Tokenizer tokenizer = model.load();
  CHECK(tokenizer.begin_id() == 701);
  CHECK(tokenizer.end_id() == 700);
  CHECK(tokenizer.pad_id() == 700);
  CHECK(tokenizer.adds_begin());
  CHECK(model.problem().empty());
}

TEST_CASE("special tokens come from special_tokens_map.json and generation_config.json") {
  Model model;
  model.say("generation_config.json",
            {{"bos_token_id", 701}, {"eos_token_id", {700, 2}}, {"pad_token_id", 2}});
  CHECK(model.load().begin_id() == 701);
  CHECK(model.load().end_id() == 700);
  CHECK(model.load().pad_id() == 2);
  model.say("generation_config.json", {{"eos_token_id", 2}});
  CHECK(model.load().end_id() == 2);
  model.say("special_tokens_map.json", {{"eos_token", {{"content", "<pad>"}}}});
  CHECK(model.load().end_id() == 0);
  model.say("tokenizer_config.json", {{"eos_token", nullptr}, {"bos_token", nullptr}});
  CHECK(model.load().end_id() == 0);
  CHECK_FALSE(model.load().begin_id());
}

TEST_CASE("the config's own words count most") {
  Model model;
  model.say("tokenizer_config.json", kDeepSeek);
  const Tokenizer tokenizer = model.load({"</s>", "<|endoftext|>", "<pad>"});
  CHECK(tokenizer.begin_id() == 1);
  CHECK(tokenizer.end_id() == 2);
  CHECK(tokenizer.pad_id() == 0);
  CHECK(tokenizer.adds_begin());
  const Tokenizer none = model.load({"", "", ""});
  CHECK_FALSE(none.begin_id());
  CHECK_FALSE(none.end_id());
  CHECK(none.pad_id() == 0);
  CHECK_FALSE(none.adds_begin());
  CHECK(model.problem({{}, "<eos>", {}}) ==
        "error [special_token] data.eos_token: '<eos>' is no token of the tokenizer | name one of its tokens "
        "as "
        "tokenizer.json spells it, or 'absent'");
}

TEST_CASE("whether a text begins with the begin token") {
  Model model;
  CHECK_FALSE(model.load().adds_begin());  // there is none
  model.add("<s>", 702);
  CHECK(model.load().adds_begin());
  const nlohmann::json in_front = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}};
  model.post_processor({{"type", "ByteLevel"}});
  CHECK_FALSE(model.load().adds_begin());
  model.post_processor({{"type", "Sequence"}, {"processors", {{{"type", "ByteLevel"}}, in_front}}});
  CHECK(model.load().adds_begin());
  model.say("tokenizer_config.json", {{"bos_token", "<s>"}, {"add_bos_token", false}});
  CHECK_FALSE(model.load().adds_begin());
  model.say("tokenizer_config.json", {{"bos_token", "<s>"}});
  CHECK(model.load().adds_begin());
  model.post_processor(nullptr);
  CHECK_FALSE(model.load().adds_begin());
}

TEST_CASE("what is said of a tokenizer before a run") {
  Model model;
  CHECK(
      model.problem() ==
      "warning [special_token] data.tokenizer: no begin token is known: rows begin with their text | put the "
      "model's tokenizer_config.json beside the tokenizer, or set data.bos_token (absent: there is none)");
  CHECK(model.problem({"", "", {}}) ==
        "warning [special_token] data.tokenizer: no end token is known: answers are taught to end with a "
        "newline | put "
        "the model's tokenizer_config.json beside the tokenizer, or set data.eos_token (absent: there is "
        "none)");
  CHECK(model.problem({}, "chatml") ==
        "error [chat_template] data.chat_template: the chat template 'chatml' needs '<|im_start|>', "
        "'<|im_end|>', "
        "which the tokenizer does not have | take the template that the model knows ('plain' needs no tokens "
        "of its "
        "own), or name begin and end with data.bos_token and data.eos_token");
  model.say("tokenizer_config.json", {{"bos_token", "<nowhere>"}});
  model.say("generation_config.json", {{"bos_token_id", 900}});
  CHECK(model.problem({{}, {}, {}}, "llama3")
            .starts_with("warning [special_token] data.tokenizer: tokenizer_config.json: bos_token "
                         "'<nowhere>' is no token of "
                         "tokenizer.json; it is not used\n"
                         "warning [special_token] data.tokenizer: generation_config.json: bos_token_id 900 "
                         "is no token of tokenizer.json; "
                         "it is not used\n"
                         "error [chat_template] "));
  model.folder.write("tokenizer_config.json", "[]");
  model.say("generation_config.json", nlohmann::json::object());
  CHECK(model.problem() == "error [bad_tokenizer] data.tokenizer: '" +
                               (model.folder.path() / "tokenizer_config.json").string() +
                               "': it is a list, not an object");
  CHECK(Tokenizer::load(model.folder.path()).error().code == ExitCode::bad_data);
  const auto check = check_tokenizer(golden::path("tokenizer_llama2.json"), {}, "vicuna");
  REQUIRE(check.tokenizer);
  CHECK(check.problems.empty());
  CHECK(check.tokenizer->size() == 658);
}

TEST_CASE("a folder without a tokenizer.json says what it holds instead") {
  const golden::Folder folder;
  const std::string name = folder.path().string();
  const auto refused = [&](const std::filesystem::path& path) { return Tokenizer::load(path).error(); };
  CHECK(refused(folder.path()).message == "'" + name + "' holds no tokenizer.json");
  CHECK(refused(folder.path()).help ==
        "a tokenizer's folder holds tokenizer.json and, beside it, tokenizer_config.json and "
        "generation_config.json, as "
        "they were published with the model");
  const auto model = folder.write("tokenizer.model", "\n\x0E\n\x05<unk>");
  const std::string convert =
      "let transformers write one: python3 -c \"from transformers import AutoTokenizer as T; "
      "T.from_pretrained('" +
      name + "').save_pretrained('" + name + "')\"";
  CHECK(refused(folder.path()).message == "'" + name + "' holds no tokenizer.json, but tokenizer.model");
  CHECK(refused(folder.path()).help == convert);
  CHECK(refused(model).message ==
        "'" + model.string() + "' is SentencePiece's own file, not a tokenizer.json");
  CHECK(refused(model).help == convert);
  CHECK(refused(model).code == ExitCode::missing_input);
}

TEST_CASE("the files that belong to a tokenizer") {
  const golden::Folder folder;
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors",
        "config.json", "tokenizer.model", "chat_template.jinja", "other.json"})
    folder.write(name, "{}");
  const auto names = [](const std::vector<std::filesystem::path>& files) {
    std::vector<std::string> made;
    for (const auto& file : files) made.push_back(file.filename().string());
    return made;
  };
  const std::vector<std::string> expected = {"tokenizer.json", "tokenizer_config.json",
                                             "generation_config.json", "chat_template.jinja",
                                             "tokenizer.model"};
  CHECK(names(tokenizer_files(folder.path())) == expected);
  CHECK(names(tokenizer_files(folder.path() / "tokenizer.json")) == expected);
  CHECK(names(tokenizer_files(folder.path() / "other.json")) ==
        std::vector<std::string>{"other.json", "tokenizer_config.json", "generation_config.json",
                                 "chat_template.jinja", "tokenizer.model"});
}
