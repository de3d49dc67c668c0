#include "cornstarch/checkpoint/checkpoint.h"

#include <cstring>
#include <fstream>
#include <random>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "manifest.h"
#include "temporary_folder.h"

using namespace cornstarch;
using namespace cornstarch::checkpoint;
using formats::DType;
using plan::ShardRange;
namespace fs = std::filesystem;

namespace {

using Folder = test::TemporaryFolder;

const std::vector<std::int64_t> kShape{6, 4};

std::vector<float> values(const ShardRange& where, float first) {
  std::vector<float> out(static_cast<std::size_t>(where.elements.size()));
  for (const plan::Copy& copy : plan::copies(plan::whole(where.shape), where))
    for (std::int64_t i = 0; i < copy.count; ++i)
      out[static_cast<std::size_t>(copy.to + i)] = first + static_cast<float>(copy.from + i);
  return out;
}

/// Two ranks with the columns of one tensor, and the first half of another each.
void write(const fs::path& dir, std::int64_t step, float first = 0) {
  for (int rank = 0; rank < 2; ++rank) {
    const ShardRange columns{kShape, 1, share(4, 2, rank), {0, 12}};
    const ShardRange half{{10}, -1, {}, share(10, 2, rank)};
    const std::vector<float> a = values(columns, first), b = values(half, first + 100);
    value_or_throw(write_part(partial_folder(dir, step), rank,
                              {{{"parameter/llm/a", DType::f32, columns}, std::as_bytes(std::span(a))},
                               {{"parameter/llm/b", DType::f32, half}, std::as_bytes(std::span(b))}}));
  }
}

Manifest manifest(std::int64_t step) {
  Manifest m;
  m.step = step;
  m.samples = 4 * step;
  m.world_size = 2;
  m.trainer = "1.2.3";
  m.config = "steps: 10\n";
  m.counters["bad"] = "1";
  m.references = {{"vision", "/models/clip", {{"model.safetensors", 10, 20, "30"}}}};
  return m;
}

fs::path save(const fs::path& dir, std::int64_t step, float first = 0) {
  write(dir, step, first);
  return value_or_throw(commit(dir, manifest(step)));
}

std::vector<float> read(Checkpoint& from, const std::string& name, const ShardRange& wanted) {
  std::vector<float> out(static_cast<std::size_t>(wanted.elements.size()));
  value_or_throw(from.read(name, wanted, std::as_writable_bytes(std::span(out))));
  return out;
}

std::vector<std::int64_t> steps(const fs::path& dir) {
  std::vector<std::int64_t> out;
  for (const Listed& each : list(dir)) out.push_back(each.step);
  return out;
}

}  // namespace

TEST_CASE("a checkpoint says what it is of and gives any part of any tensor", "[checkpoint]") {
  const Folder dir;
  const fs::path path = save(dir.path(), 12);
  CHECK(path == dir.path() / "step-00000012");
  Checkpoint opened = value_or_throw(Checkpoint::open(path));
  CHECK(opened.manifest().step == 12);
  CHECK(opened.manifest().samples == 48);
  CHECK(opened.manifest().config == "steps: 10\n");
  CHECK(opened.manifest().counters.at("bad") == "1");
  CHECK(opened.manifest().references.at(0).files.at(0).hash == "30");
  CHECK(opened.tensors().size() == 2);
  CHECK(opened.verify().empty());
  for (const ShardRange& wanted :
       {plan::whole(kShape), ShardRange{kShape, 0, {1, 4}, {0, 12}}, ShardRange{kShape, 1, {1, 3}, {3, 9}}})
    CHECK(read(opened, "parameter/llm/a", wanted) == values(wanted, 0));
  CHECK(read(opened, "parameter/llm/b", {{10}, -1, {}, {3, 8}}) ==
        std::vector<float>{103, 104, 105, 106, 107});
}

TEST_CASE("what is asked for must be there", "[checkpoint]") {
  const Folder dir;
  Checkpoint opened = value_or_throw(Checkpoint::open(save(dir.path(), 1)));
  std::vector<std::byte> room(4);
  const auto why = [&](const std::string& name, const ShardRange& wanted) {
    return opened.read(name, wanted, room).error().message;
  };
  const std::string where = cat("'", (dir.path() / "step-00000001").string(), "'");
  CHECK(why("parameter/llm/c", plan::whole({1})) == where + " has no tensor parameter/llm/c");
  CHECK(why("parameter/llm/b", plan::whole({1})) == where + ": tensor parameter/llm/b is of another shape");
}

TEST_CASE("a part that is missing, or not all of it, makes no checkpoint", "[checkpoint]") {
  const Folder dir;
  write(dir.path(), 3);
  fs::remove(partial_folder(dir.path(), 3) / "rank-00001.json");
  CHECK(commit(dir.path(), manifest(3)).error().message ==
        cat("cannot read '", (partial_folder(dir.path(), 3) / "rank-00001.json").string(),
            "': No such file or directory"));
  CHECK(list(dir.path()).empty());
  Manifest one = manifest(3);
  one.world_size = 1;
  CHECK(commit(dir.path(), one).error().message == cat("the parts in '",
                                                       partial_folder(dir.path(), 3).string(),
                                                       "' hold 12 of 24 elements of parameter/llm/a"));
  abandon(dir.path(), 3);
  CHECK(fs::is_empty(dir.path()));
}

TEST_CASE("how many threads write a part makes no difference", "[checkpoint]") {
  const Folder dir;
  std::vector<std::vector<float>> tensors;
  std::vector<PieceToWrite> pieces;
  for (std::int64_t i = 0; i < 40; ++i)
    tensors.push_back(values(plan::whole({1 + i % 7 * 300'000}), static_cast<float>(i)));
  for (std::size_t i = 0; i < tensors.size(); ++i)
    pieces.push_back({{cat("parameter/llm/", i), DType::f32, plan::whole({std::ssize(tensors[i])})},
                      std::as_bytes(std::span(tensors[i]))});
  for (const int threads : {1, 4}) value_or_throw(write_part(dir.path() / cat(threads), 0, pieces, threads));
  for (const char* file : {"rank-00000.safetensors", "rank-00000.json"})
    CHECK(*read_file(dir.path() / "1" / file) == *read_file(dir.path() / "4" / file));
}

TEST_CASE("what is written can be given up every few MB", "[checkpoint]") {
  const Folder dir;
  const std::int64_t n = 24 << 20;  // bytes: written and hashed, read again and hashed
  const std::vector<std::byte> bytes(static_cast<std::size_t>(n));
  const fs::path partial = partial_folder(dir.path(), 1);
  std::vector<std::string> said;
  int asked = 0;
  const auto write_until = [&](int last) {
    asked = 0;
    const auto written = write_part(partial, 0, {{{"parameter/llm/a", DType::u8, plan::whole({n})}, bytes}},
                                    1, [&] { return ++asked > last; });
    if (!written) said.push_back(written.error().message);
    return written.has_value();
  };
  CHECK(write_until(1000));
  CHECK(asked == 2 * n / (4 << 20));
  const int all = asked;
  for (int last = 0; last < all; ++last) {
    fs::remove_all(partial);
    CHECK_FALSE(write_until(last));
    CHECK(asked == last + 1);
    CHECK_FALSE(fs::exists(partial / "rank-00000.json"));
  }
  const std::string file = (partial / "rank-00000.safetensors").string();
  CHECK(said.front() == cat("'", file, "' is not written: given up"));
  CHECK(said.back() == cat("'", file, "' is not checked: given up"));
  CHECK(hash_file(partial / "rank-00000.safetensors", [] { return true; }).error().message ==
        cat("cannot read '", file, "': Operation canceled"));
}

TEST_CASE("the newest stay, and every so many", "[checkpoint]") {
  const Folder dir;
  for (const int step : {10, 20, 30, 40, 50}) save(dir.path(), step);
  write(dir.path(), 60);  // not whole
  CHECK(steps(dir.path()) == std::vector<std::int64_t>{50, 40, 30, 20, 10});
  value_or_throw(prune(dir.path(), 2, 20));
  CHECK(steps(dir.path()) == std::vector<std::int64_t>{50, 40, 20});
  value_or_throw(prune(dir.path(), 0, 0));
  CHECK(steps(dir.path()) == std::vector<std::int64_t>{50});
  abandon_all(dir.path());
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("nothing is removed for the sake of a checkpoint that is none", "[checkpoint]") {
  const Folder dir;
  for (const int step : {10, 20, 30}) save(dir.path(), step);
  fs::resize_file(dir.path() / "step-00000030/rank-00001.safetensors", 10);
  value_or_throw(prune(dir.path(), 1, 0));
  CHECK(steps(dir.path()) == std::vector<std::int64_t>{30, 20});
  CHECK(list(dir.path())[0].manifest.error().message ==
        cat("'", (dir.path() / "step-00000030/rank-00001.safetensors").string(), "' has 10 bytes instead of ",
            fs::file_size(dir.path() / "step-00000020/rank-00001.safetensors")));
}

TEST_CASE("what a run did not go on from is set aside, and costs no good one its place", "[checkpoint]") {
  const Folder dir;
  for (const int step : {10, 20, 30}) save(dir.path(), step);
  set_aside_newer(dir.path(), 10);
  CHECK(steps(dir.path()) == std::vector<std::int64_t>{10});
  CHECK(fs::exists(dir.path() / "step-00000030.rejected"));
  save(dir.path(), 15);
  value_or_throw(prune(dir.path(), 1, 0));
  CHECK(steps(dir.path()) == std::vector<std::int64_t>{15});
}

TEST_CASE("the same step can be saved again", "[checkpoint]") {
  const Folder dir;
  save(dir.path(), 5, 0);
  Checkpoint opened = value_or_throw(Checkpoint::open(save(dir.path(), 5, 1000)));
  CHECK(read(opened, "parameter/llm/a", plan::whole(kShape)) == values(plan::whole(kShape), 1000));
  CHECK(std::distance(fs::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("no byte can change without a word", "[checkpoint]") {
  const Folder dir;
  const fs::path path = save(dir.path(), 7);
  std::vector<fs::path> files;
  std::vector<std::uintmax_t> sizes;
  for (const auto& entry : fs::directory_iterator(path)) files.push_back(entry.path());
  std::ranges::sort(files);
  REQUIRE(files.size() == 5);
  std::mt19937 random(3);
  int in_tensors = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    const fs::path& file = files[random() % files.size()];
    const auto at = static_cast<std::streamoff>(random() % fs::file_size(file));
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    const auto flip = [&] {
      stream.seekg(at);
      const char old = static_cast<char>(stream.get());
      stream.seekp(at);
      stream.put(static_cast<char>(old ^ (1 << trial % 8)));
      stream.flush();
    };
    flip();
    std::vector<std::string> said;
    auto opened = Checkpoint::open(path);
    if (!opened) said = {opened.error().message};
    if (opened) said = opened->verify();
    INFO(file << " at " << at);
    REQUIRE(said.size() == 1);
    REQUIRE(said[0].find(file.string()) != std::string::npos);
    if (opened && said[0].find("tensor parameter/llm/") != std::string::npos) {
      ++in_tensors;
      const std::string name = said[0].substr(said[0].find("parameter/llm/"), 15);
      const auto shape = opened->tensors().at(name).shape;
      std::vector<float> room(static_cast<std::size_t>(*checked_numel(shape)));
      REQUIRE(
          opened->read(name, plan::whole(shape), std::as_writable_bytes(std::span(room))).error().message ==
          said[0]);
    }
    flip();
  }
  CHECK(in_tensors > 50);
  CHECK(value_or_throw(Checkpoint::open(path)).verify().empty());
}

TEST_CASE("parts have the names of their ranks", "[checkpoint]") {
  const Folder dir;
  const fs::path path = save(dir.path(), 1);
  Manifest other = value_or_throw(Checkpoint::open(path)).manifest();
  other.parts[1].name = "../../rank-00001";
  value_or_throw(write_file_atomically(path / "manifest.json", to_text(other)));
  CHECK(Checkpoint::open(path).error().message ==
        cat("'", (path / "manifest.json").string(), "' names another part than rank-00001"));
}

TEST_CASE("files of others are known again by their hash", "[checkpoint]") {
  const Folder dir;
  fs::create_directories(dir.path());
  value_or_throw(write_file_atomically(dir.path() / "a", "content"));
  value_or_throw(write_file_atomically(dir.path() / "b", "content"));
  value_or_throw(write_file_atomically(dir.path() / "c", "contend"));
  const auto hash = [&](const char* name) { return value_or_throw(hash_file(dir.path() / name)).hash; };
  CHECK(hash("a") == hash("b"));
  CHECK(hash("a") != hash("c"));
  CHECK(value_or_throw(hash_file(dir.path() / "a")).bytes == 7);
  Reference reference{"vision", "elsewhere", {value_or_throw(hash_file(dir.path() / "a"))}};
  CHECK(check_reference(reference, dir.path()));
  fs::rename(dir.path() / "b", dir.path() / "a");  // another time, the same content
  CHECK(check_reference(reference, dir.path()));
  fs::rename(dir.path() / "c", dir.path() / "a");
  fs::last_write_time(dir.path() / "a", fs::last_write_time(dir.path() / "a") + std::chrono::seconds(1));
  CHECK(check_reference(reference, dir.path()).error().message ==
        cat("'", (dir.path() / "a").string(),
            "' is not what the weights of vision were when the checkpoint was written"));
  fs::remove(dir.path() / "a");
  CHECK(check_reference(reference, dir.path()).error().message ==
        cat("cannot read '", (dir.path() / "a").string(), "': No such file or directory"));
  CHECK(hash_file(dir.path() / "d").error().message ==
        cat("cannot read '", (dir.path() / "d").string(), "': No such file or directory"));
}
