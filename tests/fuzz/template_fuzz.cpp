#include "cornstarch/base/utf8.h"
#include "cornstarch/templates/template.h"
#include "input.h"

namespace {

using namespace cornstarch;
using namespace cornstarch::templates;

Value turn(const char* role, Value content) {
  return Value::dict({{"role", role}, {"content", std::move(content)}});
}

}  // namespace

/// Any template is refused, or makes text of any conversation or refuses it, and marks answers inside of that
/// text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto chat = Template::parse(input.word(), "t");
  if (!chat) return 0;
  const std::string question(is_utf8(input.rest()) ? input.rest() : "What?");
  const Value parts =
      Value::list({Value::dict({{"type", "image"}}), Value::dict({{"type", "text"}, {"text", question}})});
  for (const Value& content : {Value(question), parts}) {
    const auto made = chat->render(
        {{"messages", Value::list({turn("system", "s"), turn("user", content), turn("assistant", "a")})},
         {"bos_token", "<s>"},
         {"add_generation_prompt", false}});
    if (!made) continue;
    fuzz::require(is_utf8(made->text));
    std::size_t done = 0;
    for (const auto& [from, to] : made->answers) {
      fuzz::require(done <= from && from <= to && to <= made->text.size());
      done = to;
    }
  }
  return 0;
}
