// Every mistake that a config can hold is a file in tests/golden/mistakes: a few edits of base.yaml (or a
// whole config) and the full text that the user must see. To add one, write the edits, run this test with
// CORNSTARCH_UPDATE=1 in the environment, and read what it wrote behind "--- expect".
//
//     # what the mistake is
//     --- replace        a text of base.yaml that occurs once, without its last newline
//     --- by             what stands there instead
//     --- set            one --set argument per line
//     --- config         a whole config in place of base.yaml
//     --- file NAME      a file in the folder of the config
//     --- expect         the diagnostics, the folder written as $
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/config/load.h"

using namespace cornstarch;
namespace fs = std::filesystem;

namespace {

const fs::path kCases = fs::path(CORNSTARCH_TEST_DIR) / "golden/mistakes";

struct Section {
  std::string title;  ///< "replace", "file NAME"
  std::string text;
};

std::vector<Section> sections_of(const fs::path& path) {
  std::vector<Section> sections;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind("--- ", 0) == 0) {
      sections.push_back({line.substr(4), ""});
    } else if (!sections.empty()) {
      sections.back().text += line + "\n";
    }
  }
  return sections;
}

std::string without_newline(std::string text) {
  if (!text.empty()) text.pop_back();
  return text;
}

std::string replaced(const std::string& text, const std::string& from, const std::string& to) {
  std::string out;
  std::size_t begin = 0;
  for (std::size_t at; (at = text.find(from, begin)) != std::string::npos; begin = at + from.size()) {
    out += text.substr(begin, at - begin) + to;
  }
  return out + text.substr(begin);
}

/// The folder of a config, with what base.yaml names in it.
struct Folder {
  fs::path path = fs::temp_directory_path() / cat("cornstarch-mistakes-", ::getpid());
  Folder() {
    fs::create_directories(path / "media");
    for (const char* file : {"train.jsonl", "eval.jsonl", "tokenizer.json"}) write(file, "");
  }
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
  }
};

struct Case {
  std::string config = read_file(kCases / "base.yaml").value();
  std::vector<std::string> overrides;
  std::string expected;
};

Case read_case(const fs::path& path, const Folder& folder) {
  Case out;
  std::string before;
  for (const Section& section : sections_of(path)) {
    if (section.title == "config") out.config = section.text;
    if (section.title == "expect") out.expected = section.text;
    if (section.title.rfind("file ", 0) == 0) folder.write(section.title.substr(5), section.text);
    if (section.title == "set") out.overrides = split(without_newline(section.text), '\n');
    if (section.title == "replace") before = without_newline(section.text);
    if (section.title != "by") continue;
    const std::size_t at = out.config.find(before);
    INFO("to replace: " << before);
    REQUIRE(at != std::string::npos);
    REQUIRE(out.config.find(before, at + 1) == std::string::npos);
    out.config.replace(at, before.size(), without_newline(section.text));
  }
  return out;
}

std::string diagnostics_of(const Case& mistake, const Folder& folder) {
  Diagnostics diagnostics;
  const auto loaded =
      config::load_text(mistake.config, "run.yaml", folder.path, mistake.overrides, diagnostics);
  if (loaded) {
    const auto modalities = catalog::resolve(*loaded, diagnostics);
    CHECK(modalities.has_value() != diagnostics.has_errors());
  }
  return replaced(render_text(diagnostics), folder.path.string(), "$");
}

void update(const fs::path& path, const std::string& text) {
  const std::string old = read_file(path).value();
  std::ofstream(path) << old.substr(0, old.find("--- expect\n")) << "--- expect\n" << text;
}

std::vector<fs::path> all_cases() {
  std::vector<fs::path> out;
  for (const auto& file : fs::directory_iterator(kCases)) {
    if (file.path().extension() == ".case") out.push_back(file.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("the config that the mistakes are made in has none") {
  const Folder folder;
  CHECK(diagnostics_of({}, folder) == "");
}

TEST_CASE("every seeded mistake is found and told") {
  const auto cases = all_cases();
  CHECK(cases.size() >= 40);
  const bool updating = std::getenv("CORNSTARCH_UPDATE") != nullptr;
  for (const fs::path& path : cases) {
    DYNAMIC_SECTION(path.stem().string()) {
      const Folder folder;
      const Case mistake = read_case(path, folder);
      const std::string found = diagnostics_of(mistake, folder);
      CHECK(found != "");
      if (updating) update(path, found);
      CHECK(found == (updating ? found : mistake.expected));
    }
  }
}
