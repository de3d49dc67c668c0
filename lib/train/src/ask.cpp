#include "cornstarch/train/ask.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "answered.h"
#include "cornstarch/base/console.h"
#include "cornstarch/base/error_of.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/log.h"
#include "cornstarch/base/text.h"
#include "cornstarch/base/untrusted.h"
#include "cornstarch/dataio/prompt.h"
#include "cornstarch/dataio/run_data.h"
#include "cornstarch/generate/answer.h"
#include "cornstarch/launch/environment.h"
#include "cornstarch/telemetry/progress.h"
#include "device.h"
#include "end_tokens.h"
#include "job.h"

namespace cornstarch::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using dataio::Asked;
using dataio::MediaKind;
using dataio::Role;

/// Lines that cannot be used and are named.
constexpr int kNamed = 20;

volatile std::sig_atomic_t interrupted = 0;

/// The first Ctrl-C ends an answer, a second one the process.
void hear_interrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) {
    if (interrupted != 0) ::_exit(static_cast<int>(ExitCode::signal_base) + SIGINT);
    interrupted = 1;
  };
  ::sigaction(SIGINT, &action, nullptr);  // without SA_RESTART: reading a question ends, too
}

/// A file, or standard output for "", that has each line as soon as it is written.
class Lines {
 public:
  explicit Lines(const std::string& path)
      : name_(path.empty() ? "standard output" : cat("'", path, "'")),
        opened_(path.empty() ? nullptr : std::fopen(path.c_str(), "w"), std::fclose) {
    if (!path.empty() && !opened_)
      throw Failure(ExitCode::io, cat("cannot write ", name_, ": ", std::strerror(errno)));
  }

  void put(const std::string& text) {
    std::FILE* const file = opened_ ? opened_.get() : stdout;
    const bool whole = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (std::fflush(file) != 0 || !whole)
      throw Failure(ExitCode::io, cat("cannot write ", name_, ": ", std::strerror(errno)));
  }
  void write(const std::string& line) { put(line + "\n"); }

 private:
  std::string name_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened_;
};

at::ScalarType type_of(config::Precision precision) {
  switch (precision) {
    case config::Precision::fp32:
      return at::kFloat;
    case config::Precision::fp64:
    case config::Precision::fp8_in_fp64:
      return at::kDouble;
    default:
      return at::kBFloat16;
  }
}

at::Device device_of(const config::RunConfig& config) {
  const at::Device device = open_device(config.device, launch::LaunchContext{});
  require_precision(device, config.precision);
  return device;
}

catalog::Modalities modalities_of(const config::Loaded& loaded) {
  Diagnostics diagnostics;
  auto modalities = catalog::resolve(loaded, diagnostics);
  if (!modalities) throw Failure(ExitCode::usage, render_text(diagnostics));
  return std::move(*modalities);
}

class Asker {
 public:
  Asker(const config::Loaded& loaded, const AskOptions& options)
      : options_(options),
        modalities_(modalities_of(loaded)),
        prompter_(value_or_throw(dataio::Prompter::make(
            value_or_throw(dataio::conversation_options(loaded.config, modalities_, {}))))),
        decoder_(modalities_, type_of(loaded.config.precision), device_of(loaded.config)) {
    limits_.max_tokens = options.max_tokens;
    limits_.ends = answer_ends(modalities_.back(), prompter_.tokenizer(), prompter_.answer_end_id());
  }

  int once() {
    Asked asked = fresh();
    asked.turns.push_back({Role::user, options_.prompt});
    return say(asked, "1").ended == generate::Ended::stopped ? exit_of_interrupt() : 0;
  }

  int talk();
  int answer_questions();

 private:
  /// Nothing asked yet.
  Asked fresh() const {
    Asked out;
    if (!options_.system.empty()) out.turns.push_back({Role::system, options_.system});
    out.of(MediaKind::image) = options_.images;
    out.of(MediaKind::audio) = options_.audios;
    return out;
  }

  static int exit_of_interrupt() { return static_cast<int>(ExitCode::signal_base) + SIGINT; }

  /// Shows an answer as it comes. What the model has said is the end of `said`.
  generate::Answer say(const Asked& asked, const std::string& name, std::string* said = nullptr) {
    const bool terminal = ::isatty(STDOUT_FILENO) != 0;
    Lines out("");
    dataio::TextStream stream(prompter_.tokenizer());
    const auto show = [&](const std::string& text) {
      if (said != nullptr) *said += text;
      if (!text.empty()) out.put(terminal ? harmless(text) : text);
    };
    const auto prompt = value_or_throw(prompter_(asked));
    const auto answer =
        generate::answer(decoder_, prompt, options_.sampling, limits_, name, [&](std::int64_t id) {
          show(stream.add(id));
          return interrupted == 0;
        });
    show(stream.rest());
    out.put("\n");
    if (answer.ended == generate::Ended::length)
      log::warning(cat("the answer is cut off after ", answer.ids.size(),
                       " tokens (--max-tokens, or the model's ", decoder_.max_length(), " positions)"));
    return answer;
  }

  /// One line of the file of questions, answered; counts what it scores.
  Json answer_line(const std::string& line, std::size_t number, const fs::path& root);
  /// The same; nothing where the line cannot be used, which is counted and, of the first ones, said.
  std::optional<Json> try_line(const std::string& line, std::size_t number, const fs::path& root);
  std::string summary(std::int64_t answered) const;

  AskOptions options_;
  catalog::Modalities modalities_;
  dataio::Prompter prompter_;
  generate::Decoder decoder_;
  generate::Limits limits_;
  std::int64_t scored_ = 0, exact_ = 0, left_out_ = 0;
  double f1_ = 0;
  Error first_problem_;  // of the lines that were left out
};

int Asker::talk() {
  const bool person = ::isatty(STDIN_FILENO) != 0;
  if (person)
    console().say(
        "Ask; /image FILE and /audio FILE go with the next question, /new forgets, /quit or Ctrl-D ends");
  Asked asked = fresh(), answered = asked;
  std::string line;
  for (int number = 1; person && std::fputs("> ", stderr), std::getline(std::cin, line);) {
    const std::string text(trim(line));
    const auto file_of = [&](const char* command) {
      return text.starts_with(command) ? std::optional(std::string(trim(text.substr(std::strlen(command)))))
                                       : std::nullopt;
    };
    if (text.empty()) continue;
    if (text == "/quit") break;
    if (text == "/new") {
      asked = answered = fresh();
    } else if (const auto image = file_of("/image ")) {
      asked.of(MediaKind::image).push_back(*image);
    } else if (const auto audio = file_of("/audio ")) {
      asked.of(MediaKind::audio).push_back(*audio);
    } else {
      Asked next = asked;
      next.turns.push_back({Role::user, text});
      prompter_.mark_places(next);
      try {
        std::string said;
        say(next, std::to_string(number++), &said);
        next.turns.push_back({Role::assistant, prompter_.as_answer(said)});
        asked = answered = std::move(next);
      } catch (const Failure& failure) {
        report(failure.error());
        if (asked.files != answered.files)
          log::warning("the files that came since the last answer are forgotten");
        asked = answered;
      }
      interrupted = 0;
    }
  }
  if (person) std::fputs("\n", stderr);
  return 0;
}

Json Asker::answer_line(const std::string& line, std::size_t number, const fs::path& root) {
  const Asked asked = value_or_throw(dataio::read_asked(line));
  const auto prompt = value_or_throw(prompter_(asked, root));
  const auto out = generate::answer(decoder_, prompt, options_.sampling, limits_, std::to_string(number),
                                    [](std::int64_t) { return interrupted == 0; });
  const std::string answer(trim(prompter_.tokenizer().decode(out.ids, /*skip_special=*/true)));
  Json json = answered({{"line", number}}, asked.turns.back().text, answer,
                       out.ended == generate::Ended::length, asked.answers);
  if (!json.contains("f1") || interrupted != 0) return json;
  ++scored_;
  exact_ += json["exact_match"].get<std::int64_t>();
  f1_ += json["f1"].get<double>();
  return json;
}

std::optional<Json> Asker::try_line(const std::string& line, std::size_t number, const fs::path& root) {
  try {
    return answer_line(line, number, root);
  } catch (const Failure& failure) {
    const Error& error = failure.error();
    if (error.code == ExitCode::numerics || error.code == ExitCode::internal) throw;
    if (left_out_++ == 0) first_problem_ = error;
    if (left_out_ <= kNamed) log::warning(cat(options_.questions, ":", number, ": ", error.message));
    return std::nullopt;
  }
}

std::string Asker::summary(std::int64_t answered) const {
  std::string out = cat(answered, answered == 1 ? " question" : " questions", " answered");
  if (left_out_ > 0) out += cat(", ", left_out_, left_out_ == 1 ? " line" : " lines", " left out");
  if (scored_ == 0) return out;
  const auto n = static_cast<double>(scored_);
  std::ostringstream scores;
  scores << std::fixed << std::setprecision(4) << "exact match " << static_cast<double>(exact_) / n
         << ", token F1 " << f1_ / n;
  return cat(out, "; ", scores.str(), " over ", scored_, " with a right answer");
}

int Asker::answer_questions() {
  const fs::path file = options_.questions;
  const fs::path root =
      options_.media_root.empty() ? fs::absolute(file).parent_path() : fs::path(options_.media_root);
  const std::vector<std::string> lines = split(value_or_throw(read_file(file)), '\n');
  Lines out(options_.out);
  std::int64_t answered = 0;
  {
    telemetry::Progress answering(cat("answering ", file.filename().string()), std::ssize(lines), "lines");
    for (std::size_t i = 0; i < lines.size() && interrupted == 0; ++i) {
      answering.add(1);
      if (trim(lines[i]).empty()) continue;
      const auto json = try_line(lines[i], i + 1, root);
      if (!json || interrupted != 0) continue;
      out.write(to_line(*json));
      ++answered;
    }
  }
  if (answered == 0 && left_out_ > 0)
    throw Failure(first_problem_.code,
                  cat("none of the ", left_out_, " questions in '", file.string(), "' can be answered"),
                  first_problem_.help);
  if (answered == 0 && interrupted == 0)
    throw Failure(ExitCode::bad_data, cat("'", file.string(), "' asks nothing"),
                  "each line of it is a question: {\"question\": TEXT, \"image\": PATH, \"answer\": TEXT}");
  console().say(summary(answered));
  return interrupted != 0 ? exit_of_interrupt() : 0;
}

}  // namespace

int ask(const std::string& config_text, const AskOptions& options) {
  try {
    Asker asker(load(config_text), options);
    hear_interrupts();
    if (!options.questions.empty()) return asker.answer_questions();
    return options.prompt.empty() ? asker.talk() : asker.once();
  } catch (const std::exception& e) {
    return report(error_of(e));
  }
}

}  // namespace cornstarch::train
