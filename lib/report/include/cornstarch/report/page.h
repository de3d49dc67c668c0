#pragma once

#include <string>
#include <vector>

#include "cornstarch/report/run.h"

namespace cornstarch::report {

struct PageOptions {
  std::size_t points = 1000;  ///< that a curve has at most: steps are taken together, evenly
  std::string made_by;        ///< "cornstarch-train 1.2"
};

/// One HTML document that shows the runs, with nothing outside of it: no network, no other files. What
/// script draws is in it as JSON (`data_of`), and each number can be read as text, too.
std::string page(const std::vector<Run>& runs, const PageOptions& options);

/// That JSON.
std::string data_of(const std::vector<Run>& runs, const PageOptions& options);

/// A document of its own with this body (HTML), in the same style and `style` (CSS).
std::string document(const std::string& title, const std::string& style, const std::string& body);

}  // namespace cornstarch::report
