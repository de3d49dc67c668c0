#pragma once

#include <stdexcept>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "cornstarch/base/exit_codes.h"

namespace cornstarch {

/// An expected failure: what went wrong in one line, what may help, and the exit code if it ends the program.
struct Error {
  ExitCode code = ExitCode::internal;
  std::string message;
  std::string help;
};

template <typename T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ExitCode code, std::string message, std::string help = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(help)});
}

/// The exception form of Error, for rooms below the torch line, where LibTorch throws anyway.
class Failure : public std::runtime_error {
 public:
  explicit Failure(Error error) : std::runtime_error(error.message), error_(std::move(error)) {}
  Failure(ExitCode code, std::string message, std::string help = {})
      : Failure(Error{code, std::move(message), std::move(help)}) {}
  const Error& error() const { return error_; }

 private:
  Error error_;
};

/// The value of a result, or its error as a Failure.
template <typename T>
T value_or_throw(Result<T> result) {
  if (!result) throw Failure(std::move(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace cornstarch
