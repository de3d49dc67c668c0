#include "tar.h"

#include "catch.h"
#include "cornstarch/base/text.h"
#include "golden.h"
#include "tar_writer.h"

using cornstarch::cat;
using cornstarch::test::pax_record;
using cornstarch::test::tar_end;
using cornstarch::test::tar_member;
using namespace cornstarch::dataio;
using namespace std::string_literals;
using Texts = std::vector<std::string>;

namespace {

/// "name: content" of each file, and the error that ends it.
Texts reading(const std::string& archive) {
  TarReader reader{ByteSource(archive)};
  Texts out;
  while (true) {
    const auto member = reader.next();
    if (!member) {
      const auto& error = member.error();
      out.push_back(error.message + (error.help.empty() ? "" : " | " + error.help));
      return out;
    }
    if (!*member) return out;
    const TarMember& m = **member;
    out.push_back(cat(m.name, ": ",
                      archive.substr(static_cast<std::size_t>(m.begin), static_cast<std::size_t>(m.size))));
    // A reader that begins there finds the same.
    TarReader again(ByteSource(archive), m.headers);
    CHECK((*again.next())->name == m.name);
  }
}

/// The header of the first member with some bytes in another's place, and its sum right again.
std::string changed(std::string archive, std::size_t at, std::string_view bytes) {
  archive.replace(at, bytes.size(), bytes);
  archive.replace(148, 8, "        ");
  unsigned total = 0;
  for (std::size_t i = 0; i < 512; ++i) total += static_cast<unsigned char>(archive[i]);
  char sum[8];
  std::snprintf(sum, sizeof sum, "%06o", total);
  archive.replace(148, 7, sum, 7);
  return archive;
}

}  // namespace

TEST_CASE("members are found, whatever tar wrote them") {
  for (const char* form : {"ustar", "gnu", "pax"}) {
    CAPTURE(form);
    const std::string archive =
        cornstarch::value_or_throw(cornstarch::read_file(golden::path(cat("shards/", form, ".tar"))));
    REQUIRE(is_tar(std::string_view(archive).substr(0, 1024)));
    TarReader reader{ByteSource(archive)};
    Texts names, contents;
    for (auto m = *reader.next(); m; m = *reader.next()) {
      names.push_back(m->name);
      contents.push_back(
          archive.substr(static_cast<std::size_t>(m->begin), static_cast<std::size_t>(m->size)));
    }
    std::string folder = "a folder/";
    for (int i = 0; i < 7; ++i) folder += "with a long name ";
    folder += "of 140 letters/";
    CHECK(names == Texts{"000000.png", "000000.json", folder + "1.left.png", folder + "1.right.png",
                         folder + "1.json", "caption/2.txt", "caption/2.png", "caption/2.json",
                         "caption/2.wav", ".hidden"});
    REQUIRE(contents.size() == 10);
    CHECK(contents[0] == cornstarch::value_or_throw(cornstarch::read_file(golden::path("pictures/rgb.png"))));
    CHECK(contents[8] ==
          cornstarch::value_or_throw(cornstarch::read_file(golden::path("recordings/pcm16.wav"))));
    CHECK(contents[9] == "x");
  }
}

TEST_CASE("names and sizes of extensions hold for the next member alone") {
  CHECK(reading(tar_member("a", "1") +
                tar_member("x", pax_record("mtime", "7.5") + pax_record("path", "b/\xC3\xBC"), 'x') +
                tar_member("y", "22") + tar_member("g", pax_record("comment", "made by x"), 'g') +
                tar_member("c", "") + tar_member("L", "./long\0"s, 'L') + tar_member("K", "link", 'K') +
                tar_member("z", std::string(513, 'z')) + tar_member("f/", "", '5') + tar_end()) ==
        Texts{"a: 1", "b/\xC3\xBC: 22", "c: ", "long: " + std::string(513, 'z')});
  // The size in the header counts for nothing then; nor does one that GNU writes in bytes.
  const std::string sized =
      tar_member("x", pax_record("size", "3"), 'x') + tar_member("a", "abcd") + tar_end();
  CHECK(reading(sized) == Texts{"a: abc"});
  const std::string bytes("\x80\0\0\0\0\0\0\0\0\0\0\x02", 12);
  CHECK(reading(changed(tar_member("a", "abcd"), 124, bytes) + tar_end()) == Texts{"a: ab"});
}

TEST_CASE("archives one behind the other are one") {
  CHECK(reading(tar_member("a", "1") + tar_end() + std::string(9216, '\0') + tar_member("b", "2") +
                tar_end()) == Texts{"a: 1", "b: 2"});
}

TEST_CASE("what is no archive, or leads out of it, is refused with its place") {
  const std::string a = tar_member("a", "1"), end = tar_end();
  const std::string again = " | was it cut short? Copy it again";
  const std::string files =
      " | a shard holds ordinary files: tar --dereference --hard-dereference, without --sparse";
  CHECK(reading(a) == Texts{"a: 1", "at byte 1024: the archive ends without the zeros that end one" + again});
  CHECK(reading(a + end.substr(0, 100)) ==
        Texts{"a: 1", "at byte 1024: the archive ends without the zeros that end one" + again});
  CHECK(reading(a + tar_member("b", std::string(600, 'b')).substr(0, 1100)) ==
        Texts{"a: 1", "at byte 1024: the archive ends within 'b'" + again});
  std::string wrong_sum = a + end;
  wrong_sum[0] = 'b';
  CHECK(reading(wrong_sum) == Texts{"at byte 0: no header of a tar archive"});
  CHECK(reading(changed(a, 257, "xstar") + end) == Texts{"at byte 0: no header of a tar archive"});
  CHECK(reading(changed(a, 124, "0000000008x") + end) ==
        Texts{"at byte 0: a header whose size is no number"});
  CHECK(reading(changed(a, 124, std::string(12, '\xFF')) + end) ==
        Texts{"at byte 0: a header whose size is no number"});
  CHECK(reading(changed(a, 124, "77777777777") + end) ==
        Texts{"at byte 0: the archive ends within 'a'" + again});
  CHECK(reading(changed(a, 124, std::string("\x80\0\0\0\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12)) + end) ==
        Texts{"at byte 0: a header whose size is no number"});
  CHECK(reading(tar_member("/etc/passwd", "") + end) ==
        Texts{"at byte 0: '/etc/passwd' is refused: it is an absolute path"});
  CHECK(reading(tar_member("a/../../b", "") + end) ==
        Texts{"at byte 0: 'a/../../b' is refused: it contains '..'"});
  CHECK(reading(a + tar_member("x", pax_record("path", "../b"), 'x') + a + end) ==
        Texts{"a: 1", "at byte 2048: '../b' is refused: it contains '..'"});
  const std::vector<std::pair<char, std::string>> kinds = {{'1', "a link"},
                                                           {'2', "a link"},
                                                           {'3', "a device"},
                                                           {'4', "a device"},
                                                           {'6', "a pipe"},
                                                           {'S', "a sparse file"},
                                                           {'M', "the rest of a file of another archive"},
                                                           {'V', "of a kind of its own"}};
  for (const auto& [type, name] : kinds)
    CHECK(reading(tar_member("b.png", "", type) + end) ==
          Texts{cornstarch::cat("at byte 0: 'b.png' is ", name, ", which is not read", files)});
  CHECK(reading(tar_member("x", pax_record("GNU.sparse.major", "1"), 'x') + a + end) ==
        Texts{"at byte 1024: 'a' is a sparse file, which is not read" + files});
  const auto extended = [&](const std::string& text, char type = 'x') {
    return reading(tar_member("x", text, type) + a + end);
  };
  const Texts no_list = {"at byte 0: an extension that is no list of records"};
  for (const char* text :
       {"x", "5", "3 a", "99999999999999999999 a=b\n", "9 path=bc", "7 path\n", "0 a=b\n", "7 a=bcd\n"})
    CHECK(extended(text) == no_list);
  CHECK(extended(pax_record("size", "-1")) == Texts{"at byte 0: an extension whose size is no number"});
  CHECK(extended(pax_record("size", "1x")) == Texts{"at byte 0: an extension whose size is no number"});
  CHECK(extended(pax_record("size", "9223372036854775807")) ==
        Texts{"at byte 1024: the archive ends within 'a'" + again});
  CHECK(extended(pax_record("path", "b"), 'g') ==
        Texts{"at byte 0: names or sizes for all members at once, which are not read"});
  CHECK(extended(std::string(5000, 'n'), 'L') == Texts{"at byte 5632: a name of 5000 bytes"});
  CHECK(reading(changed(tar_member("x", "", 'x'), 124, "00010000001") + a + end) ==
        Texts{"at byte 0: an extension of 2097153 bytes; 1048576 are read"});
  CHECK(reading(tar_member("x", pax_record("path", "b"), 'x') + end) ==
        Texts{"at byte 2048: an extension of no member"});
  CHECK_FALSE(is_tar(a.substr(0, 300)));
}
