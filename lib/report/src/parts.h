#pragma once

namespace cornstarch::report {

/// page.css and page.js, which CMake compiles in.
extern const char* const kStyle;
extern const char* const kScript;

}  // namespace cornstarch::report
