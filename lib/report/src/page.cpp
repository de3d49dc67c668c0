#include "cornstarch/report/page.h"

#include "cornstarch/base/text.h"
#include "parts.h"

namespace cornstarch::report {
namespace {

/// JSON that no HTML parser takes for the end of a script.
std::string in_script(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) c == '<' ? out += "\\u003c" : out += c;
  return out;
}

}  // namespace

std::string document(const std::string& title, const std::string& style, const std::string& body) {
  std::string safe;
  for (const char c : title) safe += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
  return cat(R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>)",
             safe, "</title>\n<style>\n", kStyle, style, "</style>\n</head>\n<body>\n", body,
             "\n</body>\n</html>\n");
}

std::string page(const std::vector<Run>& runs, const PageOptions& options) {
  return document("Training report", "",
                  cat(R"(<noscript>The curves on this page are drawn by a script within it. )"
                      R"(Its numbers are those of metrics.jsonl in the run's folder.</noscript>
<main id="report"></main>
<script type="application/json" id="data">)",
                      in_script(data_of(runs, options)), "</script>\n<script>\n", kScript, "</script>"));
}

}  // namespace cornstarch::report
