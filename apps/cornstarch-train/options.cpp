#include "options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "cornstarch/base/text.h"

namespace cornstarch::app {

struct Options::Impl {
  Impl(const std::string& name, const std::string& summary) : app(summary, name), program(name) {}

  CLI::App app;
  std::string program;
  std::vector<Flag> flags;
};

namespace {

std::string one_of(const std::vector<std::string>& choices) {
  std::string out = choices.front();
  for (std::size_t i = 1; i < choices.size(); ++i) {
    out += (i + 1 < choices.size() ? ", " : " or ") + choices[i];
  }
  return out;
}

void check_choice(const std::string& name, const std::string& value,
                  const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  const std::string hint = did_you_mean(value, choices);
  throw CLI::ValidationError(
      name, cat("expected ", one_of(choices), ", got '", value, "'", hint.empty() ? "" : "; ", hint));
}

/// CLI11 takes the next word as a value even if it is a flag.
void check_value(const std::string& name, const std::string& value) {
  if (value.rfind("--", 0) == 0) throw CLI::ValidationError(name, cat("needs a value, got '", value, "'"));
}

int positive_number(const std::string& name, const std::string& text) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 1) {
    throw CLI::ValidationError(name, cat("expected a whole number from 1 up, got '", text, "'"));
  }
  return value;
}

}  // namespace

Options::Options(const std::string& program, const std::string& summary, const std::string& examples)
    : impl_(std::make_unique<Impl>(program, summary)) {
  impl_->app.footer("Examples:\n" + examples);
  impl_->app.allow_extras();
  impl_->app.set_help_flag("-h,--help", "Show this help");
  impl_->flags.push_back({"--help", Flag::Takes::nothing, {}});
}

Options::~Options() = default;

void Options::flag(const std::string& name, bool& target, const std::string& help) {
  impl_->app.add_flag(name, target, help);
  impl_->flags.push_back({name, Flag::Takes::nothing, {}});
}

void Options::text(const std::string& name, std::string& target, const std::string& help, Flag::Takes takes) {
  const auto set = [name, &target](const std::string& value) {
    check_value(name, value);
    target = value;
  };
  impl_->app.add_option_function<std::string>(name, set, help)
      ->type_name(takes == Flag::Takes::file ? "FILE" : "TEXT");
  impl_->flags.push_back({name, takes, {}});
}

void Options::suggest(const std::string& name, const std::vector<std::string>& words) {
  for (Flag& flag : impl_->flags)
    if (flag.name == name) flag.choices = words;
}

void Options::count(const std::string& name, std::optional<int>& target, const std::string& help) {
  const auto set = [name, &target](const std::string& text) { target = positive_number(name, text); };
  impl_->app.add_option_function<std::string>(name, set, help)->type_name("N");
  impl_->flags.push_back({name, Flag::Takes::text, {}});
}

void Options::choice(const std::string& name, std::string& target, const std::vector<std::string>& choices,
                     const std::string& help) {
  const auto set = [name, choices, &target](const std::string& text) {
    check_choice(name, text, choices);
    target = text;
  };
  impl_->app.add_option_function<std::string>(name, set, help)->type_name(join(choices, "|"));
  impl_->flags.push_back({name, Flag::Takes::text, choices});
}

void Options::list(const std::string& name, std::vector<std::string>& target, const std::string& help,
                   Flag::Takes takes) {
  // Without allow_extra_args(false) the option would take every word up to the next flag.
  impl_->app.add_option(name, target, help)
      ->type_name(takes == Flag::Takes::file ? "FILE" : "KEY=VALUE")
      ->allow_extra_args(false);
  impl_->flags.push_back({name, takes, {}});
}

void Options::word(const std::string& name, std::string& target, const std::vector<std::string>& choices,
                   const std::string& help) {
  const auto set = [name, choices, &target](const std::string& text) {
    if (!choices.empty()) check_choice(name, text, choices);
    target = text;
  };
  impl_->app.add_option_function<std::string>(name, set, help)
      ->type_name(choices.empty() ? "PATH" : join(choices, "|"));
  for (const std::string& choice : choices) impl_->flags.push_back({choice, Flag::Takes::nothing, {}});
}

void Options::words(const std::string& name, std::vector<std::string>& target, const std::string& help) {
  impl_->app.add_option(name, target, help)->type_name("PATH");
  impl_->flags.push_back({"", Flag::Takes::file, {}});
}

namespace {

/// What parsing left over, as an error: the first flag that is not known, or else the first word.
Error unexpected(const std::vector<std::string>& words, const std::vector<Flag>& flags) {
  for (const std::string& word : words) {
    if (word.size() < 2 || word.front() != '-') continue;
    std::vector<std::string> known;
    for (const Flag& flag : flags)
      if (!flag.name.empty()) known.push_back(flag.name);
    const std::string name = word.substr(0, word.find('='));
    return {ExitCode::usage, cat("unknown option '", name, "'"), did_you_mean(name, known)};
  }
  const bool is_config = words.front().ends_with(".yaml") || words.front().ends_with(".yml");
  return {ExitCode::usage, cat("unexpected argument '", words.front(), "'"),
          is_config ? cat("did you mean --config ", words.front(), "?") : ""};
}

}  // namespace

Result<Options::Asked> Options::parse(const std::vector<std::string>& words) {
  std::vector<std::string> reversed(words.rbegin(), words.rend());
  Error error;
  try {
    impl_->app.parse(reversed);
    const auto left = impl_->app.remaining();
    if (left.empty()) return Asked::run;
    error = unexpected(left, impl_->flags);
  } catch (const CLI::CallForHelp&) {
    return Asked::help;
  } catch (const CLI::ArgumentMismatch& e) {
    const std::string text = e.what();
    error = {ExitCode::usage, text.substr(0, text.find(':')) + ": takes exactly one value", ""};
  } catch (const CLI::ParseError& e) {
    error = {ExitCode::usage, e.what(), ""};
  }
  if (error.help.empty()) error.help = cat("see ", impl_->program, " --help");
  return tl::unexpected(error);
}

std::string Options::help() const { return impl_->app.help(); }

const std::vector<Flag>& Options::flags() const { return impl_->flags; }

}  // namespace cornstarch::app
