#include "cornstarch/base/path_pattern.h"

#include <fstream>

#include "catch.h"
#include "temporary_folder.h"

using cornstarch::expand_pattern;
using Texts = std::vector<std::string>;

namespace {

struct Folder : cornstarch::test::TemporaryFolder {
  explicit Folder(const Texts& names) {
    for (const std::string& name : names) {
      std::filesystem::create_directories((path() / name).parent_path());
      std::ofstream(path() / name) << "x";
    }
  }
  /// The files, or the error, without the folder's name.
  Texts of(const std::string& pattern) const {
    const std::string folder = path().string() + "/";
    const auto files = expand_pattern(folder + pattern);
    Texts out;
    if (files)
      for (const auto& file : *files) out.push_back(file.string());
    else
      out.push_back(files.error().message);
    for (std::string& text : out)
      for (std::size_t at; (at = text.find(folder)) != std::string::npos;) text.erase(at, folder.size());
    return out;
  }
};

}  // namespace

TEST_CASE("braces spell files out, in their order") {
  const Folder f({"s-08.tar", "s-09.tar", "s-10.tar", "x/a1", "x/b1", "x/a2", "x/b2", "n9", "n10"});
  CHECK(f.of("s-{08..10}.tar") == Texts{"s-08.tar", "s-09.tar", "s-10.tar"});
  CHECK(f.of("s-{10..08}.tar") == Texts{"s-10.tar", "s-09.tar", "s-08.tar"});
  CHECK(f.of("n{9..10}") == Texts{"n9", "n10"});
  CHECK(f.of("x/{b,a}{1..2}") == Texts{"x/b1", "x/b2", "x/a1", "x/a2"});
  CHECK(f.of("s-{08..12}.tar") ==
        Texts{"'s-11.tar' and 1 more do not exist, of 5 that 's-{08..12}.tar' names"});
  CHECK(f.of("n{8..9}") == Texts{"'n8' does not exist, of 2 that 'n{8..9}' names"});
  CHECK(f.of("n{0..99999999}") == Texts{"'n{0..99999999}' names 1000000 files and more"});
}

TEST_CASE("stars match what there is, sorted") {
  const Folder f({"b.tar", "a.tar", "c.txt", "d/a1.tar"});
  CHECK(f.of("*.tar") == Texts{"a.tar", "b.tar"});
  CHECK(f.of("[bc].*") == Texts{"b.tar", "c.txt"});
  CHECK(f.of("{d/a?,b}.tar") == Texts{"d/a1.tar", "b.tar"});
  CHECK(f.of("*.json") == Texts{"'*.json' matches no file"});
}

TEST_CASE("a name that exists, or that is no pattern, is itself") {
  const Folder f({"a{1..2}[x]*"});
  CHECK(f.of("a{1..2}[x]*") == Texts{"a{1..2}[x]*"});
  CHECK(f.of("gone.tar") == Texts{"gone.tar"});
  for (const char* odd :
       {"a{b}c", "a{1..}", "a{..2}", "a{1..b}", "a{-1..2}", "a{1..2", "a}b{", "{0000000001..2}"})
    CHECK(f.of(odd) == Texts{odd});
}
