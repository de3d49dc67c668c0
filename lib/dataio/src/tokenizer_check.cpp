#include "chat_template.h"
#include "cornstarch/base/text.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {
namespace {

void check_tokens(const ChatTemplate& chat, const Tokenizer& tokenizer,
                  std::vector<TokenizerProblem>& problems) {
  const auto missing = missing_tokens(chat, tokenizer);
  if (!missing.empty())
    problems.push_back(
        {Severity::error, "chat_template", "data.chat_template",
         cat("the chat template '", chat.name, "' needs ", join(missing, ", "),
             ", which the tokenizer does not have"),
         "take the template that the model knows ('plain' needs no tokens of its own), or name begin "
         "and end with data.bos_token and data.eos_token"});
  const char* const help =
      "put the model's tokenizer_config.json beside the tokenizer, or set data.%s (absent: there is none)";
  const auto say = [&](const std::string& what, const char* key) {
    std::string text = help;
    text.replace(text.find("%s"), 2, key);
    problems.push_back({Severity::warning, "special_token", "data.tokenizer", what, text});
  };
  if (chat.apart && !tokenizer.end_id())
    say("no end token is known: answers are taught to end with a newline", "eos_token");
  if (chat.adds_begin && !tokenizer.says_begin())
    say("no begin token is known: rows begin with their text", "bos_token");
}

}  // namespace

TokenizerCheck check_tokenizer(const std::filesystem::path& path, const TokenTexts& special,
                               const std::string& chat_template) {
  TokenizerCheck check;
  check.tokenizer = Tokenizer::load(path, special, check.problems);
  const ChatTemplate* chat = find_chat_template(chat_template);
  if (check.tokenizer && chat != nullptr) check_tokens(*chat, *check.tokenizer, check.problems);
  return check;
}

}  // namespace cornstarch::dataio
