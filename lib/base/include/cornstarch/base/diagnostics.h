#pragma once

#include <string>
#include <vector>

namespace cornstarch {

/// A place in a text that a user wrote. Line and column count from 1; 0 means "the file as a whole".
/// For `--set`, the file is "--set" and line_text is the flag's text.
struct SourceSpan {
  std::string file;
  int line = 0;
  int column = 0;
  int length = 1;         ///< characters to underline
  std::string line_text;  ///< the offending line, without its newline
};

enum class Severity { error, warning };

/// One problem: `code` is stable and short ("unknown_key"), `message` says what is wrong, `help` what is
/// allowed or meant.
struct Diagnostic {
  Severity severity = Severity::error;
  std::string code;
  std::string message;
  SourceSpan where;
  std::string help;
};

/// Collects every problem of a run, so that the user sees all of them at once.
class Diagnostics {
 public:
  void error(std::string code, std::string message, SourceSpan where, std::string help = {});
  void warning(std::string code, std::string message, SourceSpan where, std::string help = {});

  bool has_errors() const;
  /// In order of file, line, column; equal ones once.
  std::vector<Diagnostic> sorted() const;

 private:
  std::vector<Diagnostic> items_;
};

/// As compilers print them:
///     run.yaml:14:5: error: unknown key 'tensor_paralel' [unknown_key]
///        14 |     tensor_paralel: 2
///           |     ^~~~~~~~~~~~~~
///       help: did you mean 'tp'?
std::string render_text(const Diagnostics& diagnostics);

/// {"valid": bool, "diagnostics": [{"severity","code","message","file","line","column","help"}]}
std::string render_json(const Diagnostics& diagnostics);

}  // namespace cornstarch
