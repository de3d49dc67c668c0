#include <unistd.h>

#include <fstream>

#include "catch.h"
#include "cornstarch/base/text.h"
#include "cornstarch/formats/safetensors.h"
#include "peak_memory.h"

using namespace cornstarch;
using namespace cornstarch::formats;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  fs::path path = fs::temp_directory_path() / cat("cornstarch-weights-", ::getpid());
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
  fs::path operator/(const std::string& name) const { return path / name; }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
  }
  void tensor(const std::string& file, const std::string& name, float value) const {
    const std::vector<float> values = {value};
    fs::create_directories((path / file).parent_path());
    REQUIRE(write_safetensors(path / file, {{name, DType::f32, {1}, std::as_bytes(std::span(values))}}));
  }
};

float value_of(const WeightsFolder& weights, const std::string& name) {
  const auto located = weights.find(name);
  REQUIRE(located.file);
  return *reinterpret_cast<const float*>(located.file->bytes(*located.entry).data());
}

/// The error with "$" for the folder.
std::string refusal(const Scratch& folder, ExitCode code, const std::string& stem = "model") {
  const auto weights = WeightsFolder::open(folder.path, stem);
  if (weights) return "opened";
  CHECK(weights.error().code == code);
  std::string text =
      weights.error().message + (weights.error().help.empty() ? "" : " | " + weights.error().help);
  const std::string path = folder.path.string();
  const std::size_t at = text.find(path);
  if (at != std::string::npos) text = cat(text.substr(0, at), "$", text.substr(at + path.size()));
  return text;
}

}  // namespace

TEST_CASE("a folder with one file of weights") {
  const Scratch folder;
  folder.tensor("model.safetensors", "a", 3);
  folder.tensor("projector.safetensors", "p", 4);
  const auto weights = WeightsFolder::open(folder.path);
  REQUIRE(weights);
  CHECK(weights->names() == std::vector<std::string>{"a"});
  CHECK(value_of(*weights, "a") == 3.0F);
  CHECK(weights->find("b").file == nullptr);
  CHECK(value_of(WeightsFolder::open(folder.path, "projector").value(), "p") == 4.0F);
}

TEST_CASE("a folder with an index") {
  const Scratch folder;
  folder.tensor("model-00001-of-00002.safetensors", "a", 1);
  folder.tensor("blobs/2", "b", 2);
  fs::create_symlink("blobs/2", folder / "model-00002-of-00002.safetensors");  // as the hub's cache has it
  folder.write("model.safetensors.index.json", R"({"metadata": {"total_size": 8}, "weight_map":
    {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  const auto weights = WeightsFolder::open(folder.path);
  REQUIRE(weights);
  CHECK(weights->names() == std::vector<std::string>{"a", "b"});
  CHECK(value_of(*weights, "a") == 1.0F);
  CHECK(value_of(*weights, "b") == 2.0F);
}

TEST_CASE("an index is not trusted") {
  const Scratch folder;
  folder.tensor("ok.safetensors", "a", 1);
  const auto with = [&](const std::string& index, ExitCode code = ExitCode::bad_data) {
    folder.write("model.safetensors.index.json", index);
    return refusal(folder, code);
  };
  const std::string index = "'$/model.safetensors.index.json': ";
  CHECK(with("{") == index + "it is not JSON");
  CHECK(with(cat(R"({"weight_map": {}, "x": )", std::string(64, '['))) ==
        index + "it is nested deeper than 64 levels");
  CHECK(with("[]") == index + "it is no index of weights: a JSON object with a weight_map is expected");
  CHECK(with(R"({"weight_map": []})") ==
        index + "it is no index of weights: a JSON object with a weight_map is expected");
  CHECK(with(R"({"weight_map": {"a": 1}})") == index + "the file of tensor 'a' is not a text");
  for (const char* path : {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ""}) {
    CHECK(with(cat(R"({"weight_map": {"a": ")", path, R"("}})")) ==
          cat(index, "the file of tensor 'a', '", path, "', is not the name of a file beside it"));
  }
  CHECK(
      with(
          R"({"weight_map": {"a": "gone"}, "weight_map": {"b": "ok.safetensors", "c": "gone"}, "z": {"d": 1}})") ==
      index + "tensor 'b' is not in 'ok.safetensors', where the index has it");
  CHECK(with(R"({"weight_map": {"b": "ok.safetensors"}})") ==
        index + "tensor 'b' is not in 'ok.safetensors', where the index has it");
  CHECK(with(R"({"weight_map": {"a": "gone.safetensors"}})", ExitCode::missing_input) ==
        "cannot read '$/gone.safetensors': No such file or directory");
}

TEST_CASE("an index takes little memory, whatever it holds") {
  const Scratch folder;
  const std::string index = "'$/model.safetensors.index.json': ";
  const auto with = [&](const std::string& text, const std::string& message) {
    folder.write("model.safetensors.index.json", text);
    CHECK(test::peak_memory_of([&] { return refusal(folder, ExitCode::bad_data) == index + message; }) <
          std::int64_t{384} << 20);
  };
  const std::size_t size = std::size_t{120} << 20;
  with(std::string(size, '['), "it is no index of weights: a JSON object with a weight_map is expected");
  std::string numbers = R"({"weight_map": [)";
  while (numbers.size() < size) numbers += "1,";
  with(numbers, "it is not JSON");
  std::string names = R"({"weight_map": {)";
  for (int i = 0; names.size() < size; ++i) names += '"' + std::to_string(i) + R"(":"a",)";
  with(names, "it has more than 1048576 tensors");
}

TEST_CASE("tensors of a shard that the index leaves out are there, too, as Hugging Face's reader has it") {
  const Scratch folder;
  folder.tensor("one.safetensors", "a", 1);
  folder.tensor("two.safetensors", "b", 2);
  folder.write("model.safetensors.index.json", R"({"weight_map": {"a": "one.safetensors"}})");
  CHECK(WeightsFolder::open(folder.path)->names() == std::vector<std::string>{"a"});
  const std::vector<std::byte> zero(4);
  REQUIRE(write_safetensors(folder / "one.safetensors",
                            {{"a", DType::f32, {1}, zero}, {"c", DType::f32, {1}, zero}}));
  CHECK(WeightsFolder::open(folder.path)->names() == std::vector<std::string>{"a", "c"});
}

TEST_CASE("a folder without weights says what it lacks") {
  const Scratch folder;
  CHECK(refusal(folder, ExitCode::missing_input) ==
        "'$' holds no weights: neither model.safetensors nor model.safetensors.index.json");
  CHECK(refusal(folder, ExitCode::missing_input, "projector") ==
        "'$' holds no weights: neither projector.safetensors nor projector.safetensors.index.json");
  folder.write("pytorch_model.bin", "PK");
  CHECK(refusal(folder, ExitCode::bad_data) ==
        "'$/pytorch_model.bin': pickled weights are not read: they can run code | save the model again as "
        "model.safetensors: in Python, AutoModel (for a language model, "
        "AutoModelForCausalLM).from_pretrained(folder).save_pretrained(folder)");
  fs::remove(folder / "pytorch_model.bin");
  folder.write("consolidated.00.pth", "PK");
  CHECK(refusal(folder, ExitCode::bad_data) ==
        "'$/consolidated.00.pth': pickled weights in Meta's own format are not read | take the folder of the "
        "same "
        "model in Hugging Face's format, or convert it with transformers' convert_llama_weights_to_hf.py");
}
