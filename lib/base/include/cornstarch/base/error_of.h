#pragma once

#include <exception>

#include "cornstarch/base/result.h"

namespace cornstarch {

/// What ends the program if nobody else catches it: a Failure as it is; memory or threads that the system
/// does not give are nobody's bug; everything else is ours.
Error error_of(const std::exception& exception);

}  // namespace cornstarch
