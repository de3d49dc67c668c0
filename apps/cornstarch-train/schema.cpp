#include "config_schema.h"
#include "console.h"
#include "cornstarch/config/load.h"
#include "verbs.h"

namespace cornstarch::app {

Run declare_schema(Options& options) {
  auto markdown = std::make_shared<bool>(false);
  options.flag("--markdown", *markdown, "The reference of all keys in Markdown instead");
  return [markdown] {
    std::string text = *markdown ? config::reference_markdown() : config_schema();
    if (!text.ends_with('\n')) text += '\n';
    return print_out(text);
  };
}

}  // namespace cornstarch::app
