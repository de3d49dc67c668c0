#include "cornstarch/base/text.h"
#include "cornstarch/dataio/chat_template.h"
#include "cornstarch/dataio/tokenizer.h"

namespace cornstarch::dataio {
namespace {

/// What a template takes for granted and the tokenizer's files do not say.
void check_said(const ChatTemplate& chat, const Tokenizer& tokenizer,
                std::vector<TokenizerProblem>& problems) {
  const auto say = [&](const std::string& what, const char* key) {
    problems.push_back({Severity::warning, "special_token", "data.tokenizer", what,
                        cat("put the model's tokenizer_config.json beside the tokenizer, or set data.", key,
                            " (absent: there is none)")});
  };
  if (chat.ends_with_newline() && !tokenizer.end_id())
    say("no end token is known: answers are taught to end with a newline", "eos_token");
  if (chat.adds_begin() && !tokenizer.says_begin())
    say("no begin token is known: rows begin with their text", "bos_token");
}

}  // namespace

TokenizerCheck check_tokenizer(const std::filesystem::path& path, const TokenTexts& special,
                               const std::string& chat_template) {
  TokenizerCheck check;
  check.tokenizer = Tokenizer::load(path, special, check.problems);
  if (!check.tokenizer) return check;
  const auto chat = ChatTemplate::open(chat_template, path, *check.tokenizer, {});
  if (chat) {
    check_said(*chat, *check.tokenizer, check.problems);
  } else {
    const Error& error = chat.error();
    check.problems.push_back(
        {Severity::error, "chat_template", "data.chat_template", error.message, error.help, error.code});
  }
  return check;
}

}  // namespace cornstarch::dataio
