#include "cornstarch/formats/safetensors.h"

#include <unistd.h>

#include <cstring>
#include <fstream>

#include "catch.h"
#include "cornstarch/base/files.h"
#include "cornstarch/base/text.h"
#include "peak_memory.h"

using namespace cornstarch;
using namespace cornstarch::formats;
namespace fs = std::filesystem;

namespace {

/// A folder of this process's own, gone at the end of the test.
struct Scratch {
  fs::path path = fs::temp_directory_path() / cat("cornstarch-formats-", ::getpid());
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
  fs::path operator/(const std::string& name) const { return path / name; }
};

std::string little_endian(std::uint64_t value) {
  std::string out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xFF));
  return out;
}

/// Writes a file with this header and `data` zero bytes.
fs::path with_header(const Scratch& folder, const std::string& header, std::size_t data,
                     const std::string& name = "x.safetensors") {
  std::ofstream out(folder / name, std::ios::binary);
  out << little_endian(header.size()) << header << std::string(data, '\0');
  return folder / name;
}

/// The error of opening, without the path in front.
std::string refusal(const fs::path& path) {
  const auto file = SafetensorsFile::open(path);
  if (file) return "opened";
  CHECK(file.error().code == ExitCode::bad_data);
  const std::string prefix = cat("'", path.string(), "': ");
  CHECK(file.error().message.substr(0, prefix.size()) == prefix);
  return file.error().message.substr(prefix.size()) +
         (file.error().help.empty() ? "" : " | " + file.error().help);
}

std::string refusal_of(const std::string& header, std::size_t data) {
  const Scratch folder;
  return refusal(with_header(folder, header, data));
}

std::string braced(const std::string& entries) { return cat("{", entries, "}"); }

std::string f32(const std::string& name, const std::string& shape, const std::string& offsets) {
  return cat("\"", name, R"(":{"dtype":"F32","shape":)", shape, R"(,"data_offsets":)", offsets, "}");
}

template <typename T>
std::span<const std::byte> raw(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

template <typename T>
std::vector<T> read(const SafetensorsFile& file, const std::string& name) {
  const auto bytes = file.bytes(file.tensors().at(name));
  std::vector<T> out(bytes.size() / sizeof(T));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

const fs::path kGolden = fs::path(CORNSTARCH_TEST_DIR) / "golden/formats/mixed.safetensors";

}  // namespace

TEST_CASE("a file by Hugging Face's writer is read") {
  const auto file = SafetensorsFile::open(kGolden);
  REQUIRE(file);
  REQUIRE(file->tensors().size() == 11);
  CHECK(read<float>(*file, "b") == std::vector<float>{0, 1, 2});
  CHECK(read<std::int64_t>(*file, "c") == std::vector<std::int64_t>{0, 1});
  CHECK(read<double>(*file, "d") == std::vector<double>{1.5});
  CHECK(read<std::uint16_t>(*file, "a.x") == std::vector<std::uint16_t>(4, 0x3f80));
  CHECK(read<std::int16_t>(*file, "s") == std::vector<std::int16_t>{-2});
  CHECK(file->tensors().at("a.x").shape == std::vector<std::int64_t>{2, 2});
  CHECK(file->tensors().at("a.x").dtype == DType::bf16);
  CHECK(file->tensors().at("e").shape.empty());
  CHECK(file->tensors().at("e").dtype == DType::boolean);
  CHECK(file->tensors().at("é\n").shape == std::vector<std::int64_t>{0, 4});
}

TEST_CASE("what is written is what Hugging Face's writer writes") {
  const auto golden = SafetensorsFile::open(kGolden);
  REQUIRE(golden);
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, entry] : golden->tensors()) {
    tensors.push_back({name, entry.dtype, entry.shape, golden->bytes(entry)});
  }
  const Scratch folder;
  REQUIRE(write_safetensors(folder / "copy.safetensors", tensors));
  CHECK(read_file(folder / "copy.safetensors").value() == read_file(kGolden).value());
}

TEST_CASE("an empty file of tensors is one") {
  const Scratch folder;
  REQUIRE(write_safetensors(folder / "empty.safetensors", {}));
  const auto file = SafetensorsFile::open(folder / "empty.safetensors");
  REQUIRE(file);
  CHECK(file->tensors().empty());
  CHECK(SafetensorsFile::open(with_header(folder, "{}", 0))->tensors().empty());
}

TEST_CASE("wrong tensors are not written") {
  const Scratch folder;
  const std::vector<float> two = {1, 2};
  const auto refused = [&](const std::vector<TensorToWrite>& tensors) {
    const auto result = write_safetensors(folder / "no.safetensors", tensors);
    CHECK_FALSE(fs::exists(folder / "no.safetensors"));
    return result ? "written" : result.error().message;
  };
  CHECK(refused({{"a", DType::f32, {3}, raw(two)}}) == "tensor 'a' has 8 bytes, not those of its shape");
  CHECK(refused({{"a", DType::f32, {2}, raw(two)}, {"a", DType::f32, {2}, raw(two)}}) ==
        "tensor 'a' is given twice");
  CHECK(refused({{"__metadata__", DType::f32, {2}, raw(two)}}) == "no tensor can be called __metadata__");
}

TEST_CASE("names of dtypes") {
  CHECK(name_of(DType::f32) == "F32");
  CHECK(name_of(DType::boolean) == "BOOL");
  CHECK(size_of(DType::bf16) == 2);
  CHECK(size_of(DType::i64) == 8);
}

TEST_CASE("files that are none are refused") {
  const Scratch folder;
  const auto content = [&](const std::string& bytes) {
    std::ofstream(folder / "y.safetensors", std::ios::binary) << bytes;
    return refusal(folder / "y.safetensors");
  };
  CHECK(content("") == "it is no safetensors file: 0 bytes long | is the download complete?");
  CHECK(content("1234567") == "it is no safetensors file: 7 bytes long | is the download complete?");
  CHECK(content("version https://git-lfs.github.com/spec/v1") ==
        "its header would have 2336927755350992246 bytes, more than 100000000 | "
        "is it a safetensors file? A Git LFS pointer or a pickled file is none");
  CHECK(content(little_endian(100) + "{}") ==
        "its header has 100 bytes, the file 10 | is the download complete?");
  CHECK(content(little_endian(~std::uint64_t{0}) + "{}") ==
        "its header would have 18446744073709551615 bytes, more than 100000000 | "
        "is it a safetensors file? A Git LFS pointer or a pickled file is none");
}

TEST_CASE("files that cannot be opened say so") {
  const Scratch folder;
  const auto missing = SafetensorsFile::open(folder / "no.safetensors");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ExitCode::missing_input);
  CHECK(missing.error().message ==
        cat("cannot read '", (folder / "no.safetensors").string(), "': No such file or directory"));
  const auto directory = SafetensorsFile::open(folder.path);
  REQUIRE_FALSE(directory);
  CHECK(directory.error().code == ExitCode::io);
  CHECK(directory.error().message == cat("cannot read '", folder.path.string(), "': it is a folder"));
}

TEST_CASE("broken headers are refused") {
  CHECK(refusal_of("{", 0) == "the header is not JSON");
  CHECK(refusal_of("", 0) == "the header is not JSON");
  CHECK(refusal_of("\"\xff\"", 0) == "the header is not JSON");
  CHECK(refusal_of(std::string(10000, '['), 0) == "the header is not a JSON object");
  CHECK(refusal_of(cat(R"({"a":{"x":)", std::string(10000, '[')), 0) ==
        "the header is nested deeper than 64 levels");
  CHECK(refusal_of(R"({"__metadata__":{},"__metadata__":{}})", 0) ==
        "the header has the key '__metadata__' twice");
  CHECK(refusal_of(braced(f32("a", cat("[1", std::string(200, '1'), "]"), "[0,4]")), 4) ==
        "tensor 'a': its shape is not a list of numbers that are not negative");
  CHECK(refusal_of(braced(f32("a", "[[1]]", "[0,4]")), 4) ==
        "tensor 'a': its shape is not a list of numbers that are not negative");
  CHECK(refusal_of("[]", 0) == "the header is not a JSON object");
  CHECK(refusal_of("{} {}", 0) == "the header is not JSON");
  CHECK(refusal_of(R"({"__metadata__":{"format":1}})", 0) == "__metadata__ is not a map of texts");
  CHECK(refusal_of(R"({"__metadata__":[]})", 0) == "__metadata__ is not a map of texts");
  CHECK(refusal_of(R"({"a":1})", 0) == "tensor 'a': its description is not a JSON object");
  CHECK(refusal_of(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4) == "tensor 'a': it has no dtype");
  CHECK(refusal_of(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1) ==
        "tensor 'a': dtype 'F8_E4M3' is not supported | known are BOOL, U8, I8, I16, F16, BF16, I32, F32, "
        "F64, I64");
  CHECK(refusal_of(braced(f32("a", "[-1]", "[0,4]")), 4) ==
        "tensor 'a': its shape is not a list of numbers that are not negative");
  CHECK(refusal_of(braced(f32("a", "[1.0]", "[0,4]")), 4) ==
        "tensor 'a': its shape is not a list of numbers that are not negative");
  CHECK(refusal_of(braced(f32("a", "4", "[0,4]")), 4) ==
        "tensor 'a': its shape is not a list of numbers that are not negative");
  for (const char* offsets : {"[0]", "[0,4,8]", "[4,0]", "[-4,0]", "[0,4.0]", "null"}) {
    CHECK(refusal_of(braced(f32("a", "[1]", offsets)), 4) ==
          "tensor 'a': its data_offsets are not a begin and an end");
  }
}

TEST_CASE("keys that stand twice are refused") {
  CHECK(refusal_of(cat("{", f32("a", "[1]", "[0,4]"), ",", f32("a", "[1]", "[4,8]"), "}"), 8) ==
        "the header has the key 'a' twice");
  CHECK(refusal_of(R"({"a":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8) ==
        "the header has the key 'dtype' twice");
  // The same key in two objects is no duplicate.
  CHECK(refusal_of(cat("{", f32("a", "[1]", "[0,4]"), ",", f32("b", "[1]", "[4,8]"), "}"), 8) == "opened");
}

TEST_CASE("sizes that do not fit are refused") {
  CHECK(refusal_of(braced(f32("a", "[2]", "[0,4]")), 4) ==
        "tensor 'a': its shape and dtype F32 need 8 bytes, its data_offsets give 4");
  CHECK(refusal_of(braced(f32("a", "[4294967296,4294967296]", "[0,0]")), 0) ==
        "tensor 'a': its shape is too large to count");
  CHECK(refusal_of(braced(f32("a", "[4611686018427387904]", "[0,0]")), 0) ==
        "tensor 'a': its shape is too large to count");
  CHECK(refusal_of(braced(f32("a", "[18446744073709551615]", "[0,4]")), 4) ==
        "tensor 'a': its shape is not a list of numbers that are not negative");
  CHECK(refusal_of(braced(f32("a", "[1]", "[9223372036854775807,9223372036854775808]")), 4) ==
        "tensor 'a': its data_offsets are not a begin and an end");
  // Zero times anything is zero, in whatever order.
  CHECK(refusal_of(braced(f32("a", "[0,4294967296]", "[0,0]")), 0) == "opened");
}

TEST_CASE("what the format does not know is passed over") {
  CHECK(refusal_of(
            R"({"__metadata__":{"a":"b"},"a":{"x":[[1],{"shape":[7]}],"dtype":"F32","shape":[1],"y":[2],)"
            R"("data_offsets":[0,4],"z":{"dtype":"F64"}}})",
            4) == "opened");
}

TEST_CASE("a header takes little memory, whatever it holds") {
  const Scratch folder;
  const auto with = [&](const std::string& header, const std::string& message) {
    const fs::path path = with_header(folder, header, 0);
    CHECK(test::peak_memory_of([&] { return refusal(path) == message; }) < std::int64_t{448} << 20);
  };
  const std::size_t size = 99'000'000;
  with(std::string(size, '['), "the header is not a JSON object");
  std::string numbers = R"({"a":{"dtype":"F32","shape":[)";
  while (numbers.size() < size) numbers += "1,";
  with(numbers, "tensor 'a': its shape has more than 64 numbers");
  std::string keys = R"({"__metadata__":{)";
  for (int i = 0; keys.size() < size; ++i) keys += '"' + std::to_string(i) + R"(":"",)";
  with(keys, "the header is not JSON");
  std::string tensors = "{";
  for (int i = 0; tensors.size() < size; ++i)
    tensors += '"' + std::to_string(i) + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)";
  with(tensors, "it has more than 1048576 tensors");
}

TEST_CASE("tensors that overlap, leave holes or leave the file are refused") {
  const std::string a = f32("a", "[2]", "[0,8]");
  CHECK(refusal_of(cat("{", a, ",", f32("b", "[2]", "[4,12]"), "}"), 12) ==
        "tensor 'b' begins at byte 4, inside of 'a', which ends at 8");
  CHECK(refusal_of(cat("{", a, ",", f32("b", "[2]", "[0,8]"), "}"), 8) ==
        "tensor 'b' begins at byte 0, inside of 'a', which ends at 8");
  CHECK(refusal_of(cat("{", a, ",", f32("b", "[1]", "[12,16]"), "}"), 16) ==
        "bytes 8 to 12, before tensor 'b', belong to no tensor");
  CHECK(refusal_of(braced(f32("a", "[1]", "[4,8]")), 8) ==
        "bytes 0 to 4, before tensor 'a', belong to no tensor");
  CHECK(refusal_of(braced(a), 7) == "its tensors need 8 bytes of data, it has 7 | is the download complete?");
  CHECK(refusal_of(braced(a), 9) == "it has 1 bytes behind its last tensor that belong to none");
}

TEST_CASE("names from a file are made fit for a terminal") {
  CHECK(refusal_of(cat(R"({"\u001b[31m)", std::string(200, 'x'), R"(":1})"), 0) ==
        cat("tensor '?[31m", std::string(95, 'x'), "...': its description is not a JSON object"));
}

TEST_CASE("a cut file is refused at every length") {
  const Scratch folder;
  const std::string whole = read_file(kGolden).value();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::ofstream(folder / "cut.safetensors", std::ios::binary) << whole.substr(0, size);
    CHECK_FALSE(SafetensorsFile::open(folder / "cut.safetensors").has_value());
  }
}

TEST_CASE("a file with a flipped byte is read or refused, never more") {
  const Scratch folder;
  const std::string whole = read_file(kGolden).value();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (at % 7)));
    std::ofstream(folder / "flip.safetensors", std::ios::binary) << flipped;
    const auto file = SafetensorsFile::open(folder / "flip.safetensors");
    if (!file) continue;
    for (const auto& [name, entry] : file->tensors()) {
      CHECK(file->bytes(entry).size() == entry.end - entry.begin);
    }
  }
}
