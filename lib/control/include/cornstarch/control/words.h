#pragma once

#include "cornstarch/base/words.h"

namespace cornstarch::control {

using cornstarch::describe_duration;
using cornstarch::describe_ranks;

}  // namespace cornstarch::control
