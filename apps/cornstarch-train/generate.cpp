#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "asked_model.h"
#include "console.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"
#include "cornstarch/dataio/conversations.h"
#include "verbs.h"
#include "version.h"
#include "worker.h"

namespace cornstarch::app {

namespace {

struct Args {
  std::string model, prompt, system, questions, media_root, out, chat_template;
  std::string temperature, top_p, seed;
  std::vector<std::string> images, audios;
  std::optional<int> max_tokens;
  std::string device = "cpu", precision;
};

/// Whether a text is a number from `least` to `most`, or nothing was said.
template <typename Number>
Result<void> check_number(const char* flag, const std::string& text, Number least, Number most,
                          const char* what) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || (error == std::errc() && stop == end && value >= least && value <= most)) return {};
  return fail(ExitCode::usage, cat(flag, ": expected ", what, ", got '", text, "'"));
}

Result<void> check(const Args& args) {
  if (args.model.empty())
    return fail(ExitCode::usage, "generate: --model is missing",
                "a run's folder, a config, or a model's folder");
  const bool one = !args.prompt.empty();
  if (!args.questions.empty() &&
      (one || !args.system.empty() || !args.images.empty() || !args.audios.empty()))
    return fail(ExitCode::usage, "generate: --questions goes without --prompt, --system, --image and --audio",
                "each line of the file says these itself");
  if (args.questions.empty() && (!args.out.empty() || !args.media_root.empty()))
    return fail(ExitCode::usage, "generate: --out and --media-root belong to --questions");
  Result<void> done = check_number("--temperature", args.temperature, 0.0, 100.0, "a number from 0 to 100");
  if (done) done = check_number("--top-p", args.top_p, 1e-9, 1.0, "a number above 0 and up to 1");
  if (done)
    done = check_number("--seed", args.seed, std::uint64_t{0}, ~std::uint64_t{0}, "a whole number from 0 up");
  if (done && args.device == "cuda" && !built_for_cuda())
    return fail(ExitCode::usage, "--device cuda: this build has no CUDA", "build with cmake --preset cuda");
  return done;
}

config::Precision precision_of(const Args& args) {
  const std::string asked = !args.precision.empty() ? args.precision
                            : args.device == "cuda" ? "bf16"
                                                    : "fp32";
  for (const auto each : {config::Precision::fp64, config::Precision::bf16})
    if (asked == config::name_of(each)) return each;
  return config::Precision::fp32;
}

/// As the worker takes it.
std::vector<std::string> words_of(const Args& args) {
  std::vector<std::string> words;
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {flag, value});
  };
  add("--prompt", args.prompt);
  add("--system", args.system);
  add("--questions", args.questions);
  add("--media-root", args.media_root);
  add("--out", args.out);
  add("--temperature", args.temperature);
  add("--top-p", args.top_p);
  add("--seed", args.seed);
  if (args.max_tokens) add("--max-tokens", std::to_string(*args.max_tokens));
  for (const std::string& file : args.images) add("--image", file);
  for (const std::string& file : args.audios) add("--audio", file);
  return words;
}

ExitCode run(const Args& args) {
  if (const auto sound = check(args); !sound) return complain(sound.error());
  Diagnostics diagnostics;
  auto config = config_of_model(args.model, diagnostics);
  if (!config) return complain(config.error());
  if (*config) {
    (*config)->device = args.device == "cuda" ? config::Device::cuda : config::Device::cpu;
    (*config)->precision = precision_of(args);
    std::vector<std::string> overrides;
    if (!args.chat_template.empty()) overrides.push_back("data.chat_template=" + args.chat_template);
    const auto again = config::load_text(config::dump(**config), args.model, ".", overrides, diagnostics);
    if (again && catalog::resolve(*again, diagnostics)) *config = again->config;
  }
  // What a config says of training is no matter here.
  if (!*config || diagnostics.has_errors()) {
    std::fputs(render_text(diagnostics).c_str(), stderr);
    return ExitCode::usage;
  }
  return complain(become_worker("--generate", config::dump(**config), words_of(args)));
}

}  // namespace

Run declare_generate(Options& options) {
  auto args = std::make_shared<Args>();
  options.text("--model", args->model,
               "A run's folder, a config with pretrained weights, or a model's folder", Flag::Takes::file);
  options.text("--prompt", args->prompt, "What is asked; without it, questions are read as they are typed");
  options.text("--system", args->system, "What the conversation begins with");
  options.list("--image", args->images, "A picture that goes with it (repeatable)", Flag::Takes::file);
  options.list("--audio", args->audios, "A recording that goes with it (repeatable)", Flag::Takes::file);
  options.text("--questions", args->questions,
               "A JSONL file: answer each line, and score it where it has an answer", Flag::Takes::file);
  options.text("--media-root", args->media_root,
               "Where the media of --questions are (default: beside the file)", Flag::Takes::file);
  options.text("--out", args->out, "Where the answers to --questions go (default: standard output)",
               Flag::Takes::file);
  options.count("--max-tokens", args->max_tokens, "Of an answer, at most (default: 256)");
  options.text("--temperature", args->temperature,
               "Draw tokens; 0, the default, takes the likeliest each time");
  options.text("--top-p", args->top_p, "Draw among the likeliest tokens that have this probability together");
  options.text("--seed", args->seed, "Of what is drawn (default: 0)");
  options.choice("--chat-template", args->chat_template, dataio::chat_templates(),
                 "Instead of the run's; for a model's folder the default is plain");
  options.choice("--device", args->device, {"cpu", "cuda"}, "Where to compute (default: cpu)");
  options.choice("--precision", args->precision, {"fp32", "fp64", "bf16"},
                 "In which type (default: fp32 on the CPU, bf16 on a GPU)");
  return [args] { return run(*args); };
}

}  // namespace cornstarch::app
