#include "sample_index.h"

#include <sys/stat.h>
#include <utime.h>

#include <thread>

#include "catch.h"
#include "golden.h"
#include "index_format.h"
#include "parquet.h"
#include "peak_memory.h"

using namespace cornstarch::dataio;
namespace fs = std::filesystem;
using cornstarch::cat;
using cornstarch::value_or_throw;

namespace {

const std::vector<std::string> kPlaceholders = {"<image>", "[snd]"};

std::string text_sample(int i) {
  const std::string filler(static_cast<std::size_t>(i % 700), 'x');
  switch (i % 4) {
    case 0:
      return cat(R"({"conversations": [{"from": "human", "value": "<image><video>)", filler,
                 R"(<image>"}, {"from": "gpt", "value": "[snd]"}], "images": ["a", "b"]})");
    case 1:
      return cat(R"({"conversations": [{"from": "human", "value": ")", filler, R"("}], "audio": "a.wav"})");
    case 2:
      return cat(R"({"conversations": [{"from": "gpt", "value": ")", filler, R"("}], "img": "a.png"})");
    default:
      return "{\"oops\": \"" + filler + "\"}";
  }
}

/// Some 11 MB: more than one piece of what is read at a time.
std::string many_samples(int n, bool list) {
  std::string out = list ? "[\n" : "";
  for (int i = 0; i < n; ++i) {
    out += text_sample(i);
    out += list ? (i + 1 < n ? ",\n" : "\n]\n") : "\n";
    if (!list && i % 10 == 0) out += "\n";
  }
  return out;
}

void check_facts(const SampleIndex& index, int n, bool list) {
  REQUIRE(index.size() == n);
  const auto column = [&](const std::string& name) {
    const auto& all = index.placeholders();
    return static_cast<std::size_t>(std::find(all.begin(), all.end(), name) - all.begin());
  };
  const std::size_t image = column("<image>"), sound = column("[snd]"), video = column("<video>");
  std::int64_t line = list ? 2 : 1;
  std::int64_t wrong = 0;
  for (int i = 0; i < n; ++i) {
    const SampleIndex::Entry& e = index[i];
    const auto counts = index.counts(i);
    const bool media = i % 4 == 0;
    const std::vector<int> found = {e.files[0],   e.files[1],    e.files[2],    e.malformed,
                                    e.has_answer, counts[image], counts[sound], counts[video]};
    const std::vector<int> wanted = {media ? 2 : 0,
                                     i % 4 == 1 ? 1 : 0,
                                     0,
                                     i % 4 == 3 ? 1 : 0,
                                     i % 4 == 0 || i % 4 == 2 ? 1 : 0,
                                     media ? 2 : 0,
                                     media ? 1 : 0,
                                     media ? 1 : 0};
    if (found != wanted || e.line != line || e.length != text_sample(i).size()) ++wrong;
    line += !list && i % 10 == 0 ? 2 : 1;
  }
  CHECK(wrong == 0);
  REQUIRE(index.unread().size() == 1);
  CHECK(index.unread()[0].key == "img");
  CHECK(index.unread()[0].samples == n / 4);
  CHECK(index.unread()[0].first_line == 4);
}

struct Cache {
  explicit Cache(const fs::path& folder) { ::setenv("XDG_CACHE_HOME", folder.c_str(), 1); }
  ~Cache() { ::unsetenv("XDG_CACHE_HOME"); }
};

SampleIndex open_index(const fs::path& path) {
  const auto file = value_or_throw(DataFile::open(path));
  return value_or_throw(SampleIndex::open(file, kPlaceholders));
}

ino_t inode(const fs::path& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 ? info.st_ino : 0;
}

}  // namespace

TEST_CASE("an index knows every sample of a long file, made or read back") {
  const golden::Folder folder;
  const int n = 24000;
  for (const bool list : {false, true}) {
    const fs::path path = folder.write(list ? "a.json" : "a.jsonl", many_samples(n, list));
    REQUIRE(fs::file_size(path) > std::size_t{9} << 20);
    const fs::path kept = folder.path() / cat(".", path.filename().string(), ".index");
    check_facts(open_index(path), n, list);
    REQUIRE(fs::exists(kept));
    const ino_t first = inode(kept);
    check_facts(open_index(path), n, list);
    CHECK(inode(kept) == first);  // it was not made again
  }
}

TEST_CASE("an index is made again where it is stale, broken, or of other placeholders") {
  const golden::Folder folder;
  const fs::path path = folder.write("a.jsonl", many_samples(24000, false));
  const fs::path kept = folder.path() / ".a.jsonl.index";
  open_index(path);
  ino_t last = inode(kept);
  const auto made_again = [&](int n) {
    const SampleIndex index = open_index(path);
    check_facts(index, n, false);
    const bool again = inode(kept) != last;
    last = inode(kept);
    return again;
  };
  CHECK_FALSE(made_again(24000));

  std::string bytes = value_or_throw(cornstarch::read_file(kept));
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  folder.write(".a.jsonl.index", bytes);
  CHECK(made_again(24000));
  folder.write(".a.jsonl.index", bytes.substr(0, 20));
  CHECK(made_again(24000));

  folder.write("a.jsonl", many_samples(20000, false));
  CHECK(made_again(20000));
  const struct utimbuf earlier = {1000, 1000};
  REQUIRE(::utime(path.c_str(), &earlier) == 0);
  CHECK(made_again(20000));
  CHECK_FALSE(made_again(20000));

  const auto file = value_or_throw(DataFile::open(path));
  CHECK(value_or_throw(SampleIndex::open(file, {"<other>"})).placeholders() ==
        std::vector<std::string>{"<audio>", "<image>", "<other>", "<sound>", "<speech>", "<video>",
                                 "<vision>", "\xEF\xB7\x90", "\xEF\xB7\x91", "\xEF\xB7\x92"});
  last = inode(kept);
  CHECK(made_again(20000));
}

TEST_CASE("an index goes to the cache folder where the data's cannot be written, and small files have none") {
  const golden::Folder folder;
  const Cache cache(folder.path() / "cache");
  const fs::path path = folder.write("a.jsonl", many_samples(24000, false));
  fs::create_directories(folder.path() / ".a.jsonl.index" / "in the way");
  check_facts(open_index(path), 24000, false);
  std::vector<fs::path> kept;
  for (const auto& entry : fs::directory_iterator(folder.path() / "cache" / "cornstarch"))
    kept.push_back(entry.path());
  REQUIRE(kept.size() == 1);
  CHECK(kept[0].filename().string().starts_with("a.jsonl-"));
  const ino_t first = inode(kept[0]);
  check_facts(open_index(path), 24000, false);
  CHECK(inode(kept[0]) == first);

  const fs::path small = folder.write("small.jsonl", many_samples(100, false));
  check_facts(open_index(small), 100, false);
  CHECK_FALSE(fs::exists(folder.path() / ".small.jsonl.index"));
}

TEST_CASE("several that ask at once get the same index, made once") {
  const golden::Folder folder;
  const fs::path path = folder.write("a.jsonl", many_samples(24000, false));
  std::vector<ino_t> seen(4);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < seen.size(); ++t)
      threads.emplace_back([&, t] {
        check_facts(open_index(path), 24000, false);
        seen[t] = inode(folder.path() / ".a.jsonl.index");
      });
  }
  CHECK(seen == std::vector<ino_t>(4, seen[0]));
}

TEST_CASE("a sample that is too long to be one is refused with its line") {
  const golden::Folder folder;
  const std::string bomb = "{\"a\": \"" + std::string((std::size_t{64} << 20) + 100, 'x') + "\"}";
  for (const std::string name : {"a.jsonl", "a.json"}) {
    const std::string text = name == "a.json" ? "[{},\n" + bomb + "]" : "{}\n" + bomb + "\n";
    const auto file = value_or_throw(DataFile::open(folder.write(name, text)));
    CHECK(cornstarch::test::peak_memory_of([&] { return !SampleIndex::open(file, {}); }) < std::int64_t{256}
                                                                                               << 20);
    const auto index = SampleIndex::open(file, {});
    REQUIRE_FALSE(index);
    CHECK(index.error().code == cornstarch::ExitCode::bad_data);
    CHECK(index.error().message ==
          cat((folder.path() / name).string(), ":2: a sample of more than 64 MiB, the most that is read"));
    CHECK(index.error().help == "a .jsonl file has one sample a line; a .json file is a list of samples");
  }
}

TEST_CASE("files of other forms are named by their content") {
  const golden::Folder folder;
  const auto problem = [&](const std::string& bytes) {
    const auto file = value_or_throw(DataFile::open(folder.write("a.jsonl", bytes)));
    const auto index = SampleIndex::open(file, {});
    return index
               ? ""
               : index.error().message.substr(folder.path().string().size() + 1) + " | " + index.error().help;
  };
  const auto says = [](const std::string& what, const std::string& help) {
    return "/a.jsonl' is " + what + "; a data set is a .jsonl file, a .json list or a .tar of samples | " +
           help;
  };
  if (!reads_parquet())
    CHECK(
        problem("PAR1....") ==
        says("a Parquet file",
             "build cornstarch-train where Arrow's C++ library is (pip install pyarrow), which reads it; or "
             "turn it into JSON lines: python3 -c \"import pandas; pandas.read_parquet('a.jsonl').to_json("
             "'a.jsonl.jsonl', orient='records', lines=True)\""));
  CHECK(problem("\x1F\x8B\x08.") == says("compressed by gzip", "unpack it: gunzip -k a.jsonl"));
  CHECK(problem("\x28\xB5\x2F\xFD") == says("compressed by zstd", "unpack it: unzstd a.jsonl"));
  CHECK(problem("PK\x03\x04") == says("a zip archive", "unpack it: unzip a.jsonl"));
  CHECK(problem(std::string("\xFF\xFE{\0", 4)) ==
        says("text in UTF-16", "turn it into UTF-8: iconv -f UTF-16 -t UTF-8 a.jsonl"));
  CHECK(problem("{\n  \"data\": []\n}") ==
        says("one object over several lines",
             "write the samples as a list, or one a line: jq -c '.[]' a.jsonl"));
}

TEST_CASE("a file that changes under its reader is named, not read wrongly") {
  const golden::Folder folder;
  const fs::path path = folder.write("a.jsonl", "one\ntwo\n");
  const auto text_of = [](const DataFile& file) {
    try {
      return file.text(4, 3);
    } catch (const cornstarch::Failure& failure) {
      return std::string(failure.what());
    }
  };
  const std::string changed = "'" + path.string() + "' was changed while it was in use";
  auto file = value_or_throw(DataFile::open(path));
  CHECK(text_of(file) == "two");
  fs::resize_file(path, 5);
  CHECK(text_of(file) == changed);
  file = value_or_throw(DataFile::open(folder.write("a.jsonl", "one\ntwo\n")));
  const struct utimbuf earlier = {1000, 1000};
  REQUIRE(::utime(path.c_str(), &earlier) == 0);  // edited in place, as long as before
  CHECK(text_of(file) == changed);
  file = value_or_throw(DataFile::open(path));
  fs::rename(folder.write("new", "new\nnew\n"), path);  // the old content lives on
  CHECK(text_of(file) == "two");
}

TEST_CASE("a pipe is no data set, and is not waited for") {
  const golden::Folder folder;
  const fs::path path = folder.path() / "pipe.jsonl";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const auto file = DataFile::open(path);
  REQUIRE_FALSE(file);
  CHECK(file.error().message == "cannot read '" + path.string() + "': it is a FIFO, not a file");
}

namespace {

/// The index of a file of two samples, as `change` leaves it, with its hash right again.
template <class Change>
std::string forged(const DataFile& file, Change change) {
  std::string bytes = value_or_throw(make_index(file, {"<image>"}));
  IndexHead head{};
  std::memcpy(&head, bytes.data(), sizeof head);
  change(head, bytes);
  std::memcpy(bytes.data(), &head, sizeof head);
  head.hash = index_hash(std::string_view(bytes).substr(offsetof(IndexHead, samples)));
  std::memcpy(bytes.data(), &head, sizeof head);
  return bytes;
}

void set_entry(std::string& bytes, std::uint64_t offset, std::uint32_t length) {
  SampleIndex::Entry entry{};
  entry.offset = offset;
  entry.length = length;
  std::memcpy(bytes.data() + sizeof(IndexHead), &entry, sizeof entry);
}

}  // namespace

TEST_CASE("an index that leads out of its file, or out of itself, is refused") {
  const golden::Folder folder;
  const auto file = value_or_throw(DataFile::open(folder.write("a.jsonl", "{}\n{}\n")));
  const auto taken = [&](auto change) { return SampleIndex::parse(forged(file, change), file).has_value(); };
  const auto with_entry = [&](std::uint64_t offset, std::uint32_t length) {
    return taken([&](IndexHead&, std::string& bytes) { set_entry(bytes, offset, length); });
  };
  CHECK(with_entry(0, 2));
  CHECK(with_entry(4, 2));
  CHECK_FALSE(with_entry(5, 2));
  CHECK_FALSE(with_entry(std::uint64_t{1} << 63, 0));
  CHECK_FALSE(with_entry(0, 0xFFFFFFFF));
  CHECK_FALSE(taken([](IndexHead& head, std::string&) { head.samples = 3; }));
  CHECK_FALSE(taken([](IndexHead& head, std::string&) { head.samples = 1ULL << 60; }));
  CHECK_FALSE(taken([](IndexHead& head, std::string&) { head.stride = 0; }));
  CHECK_FALSE(taken([](IndexHead& head, std::string&) { head.stride = ~0ULL; }));
  const auto about = [&](const std::string& json) {
    return taken([&](IndexHead& head, std::string& bytes) {
      bytes = bytes.substr(0, sizeof head + head.samples * head.stride) + json;
    });
  };
  const std::string stamp = cat(R"({"size": 6, "modified": )", file.modified());
  CHECK_FALSE(about("{}"));
  CHECK_FALSE(about(stamp + R"(, "placeholders": [], "unread": {}})"));
  CHECK_FALSE(about(stamp + R"(, "placeholders": 7, "unread": {}})"));
  CHECK_FALSE(about(stamp + R"(, "placeholders": ["<image>", 1], "unread": {}})"));
}
