#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cornstarch/base/result.h"

namespace cornstarch::app {

/// One flag of a verb, as shell completion needs to know it.
struct Flag {
  enum class Takes { nothing, text, file, config_key };
  std::string name;  ///< "" for words without one
  Takes takes = Takes::nothing;
  std::vector<std::string> choices;
};

/// The command line of one verb. Targets must outlive parse().
class Options {
 public:
  Options(const std::string& program, const std::string& summary, const std::string& examples);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  void flag(const std::string& name, bool& target, const std::string& help);
  void text(const std::string& name, std::string& target, const std::string& help,
            Flag::Takes takes = Flag::Takes::text);
  /// Words that completion offers as the value of a flag declared before, which takes others, too.
  void suggest(const std::string& name, const std::vector<std::string>& words);
  /// A whole number from 1 up.
  void count(const std::string& name, std::optional<int>& target, const std::string& help);
  void choice(const std::string& name, std::string& target, const std::vector<std::string>& choices,
              const std::string& help);
  /// Repeatable, one value each.
  void list(const std::string& name, std::vector<std::string>& target, const std::string& help,
            Flag::Takes takes);
  /// A word without a flag; any, where there are no choices.
  void word(const std::string& name, std::string& target, const std::vector<std::string>& choices,
            const std::string& help);
  /// Any number of words without a flag, which are paths.
  void words(const std::string& name, std::vector<std::string>& target, const std::string& help);

  enum class Asked { run, help };
  /// Fills the targets. Errors are of the user's making (usage).
  Result<Asked> parse(const std::vector<std::string>& words);
  std::string help() const;
  const std::vector<Flag>& flags() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cornstarch::app
