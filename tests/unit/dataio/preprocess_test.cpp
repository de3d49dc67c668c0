#include "cornstarch/dataio/preprocess.h"

#include <cmath>
#include <fstream>

#include "catch.h"
#include "cornstarch/dataio/run_data.h"
#include "golden.h"
#include "temporary_folder.h"

using namespace cornstarch::dataio;
using Shape = std::vector<std::int64_t>;

namespace {

std::string clip_problem(const std::string& json, const Shape& shape) {
  const auto made = ImagePreprocessor::parse(json, shape);
  return made ? "" : made.error().message;
}
std::string whisper_problem(const std::string& json, const Shape& shape) {
  const auto made = LogMel::parse(json, shape);
  return made ? "" : made.error().message;
}

}  // namespace

TEST_CASE("pictures become what CLIPImageProcessor and BitImageProcessor make of them") {
  const auto cases = golden::json("clip.json");
  REQUIRE(cases.size() == 10);
  for (const auto& one : cases) {
    const auto name = one["name"].get<std::string>();
    CAPTURE(name);
    const auto preprocess = ImagePreprocessor::parse(one["preprocessor_json"], one["shape"].get<Shape>());
    REQUIRE(preprocess);
    const auto image = read_image(golden::path("pictures/" + one["picture"].get<std::string>()));
    REQUIRE(image);
    const auto item = (*preprocess)(*image);
    REQUIRE(item);
    CHECK(item->shape == one["shape"].get<Shape>());
    CHECK(golden::distance(item->values, golden::floats("clip_" + name + ".bin")) <= 1e-6);
  }
}

TEST_CASE("what a preprocessor_config.json leaves out is as its class has it") {
  const auto siglip =
      ImagePreprocessor::parse(R"({"image_processor_type": "SiglipImageProcessor"})", {3, 224, 224});
  const auto same = ImagePreprocessor::parse(
      R"({"size": {"height": 224, "width": 224}, "do_center_crop": false, "image_mean": 0.5, "image_std": 0.5})",
      {3, 224, 224});
  REQUIRE(siglip);
  REQUIRE(same);
  const std::string written = siglip->to_json();
  CHECK(written.find("SiglipImageProcessor") != std::string::npos);
  CHECK(written.find("crop_size") == std::string::npos);
  CHECK(written.substr(written.find("do_convert_rgb")) ==
        same->to_json().substr(same->to_json().find("do_convert_rgb")));
  CHECK(ImagePreprocessor::parse(R"({"image_processor_type": "SiglipImageProcessor", "size": 8})", {3, 8, 8})
            .value()
            .shortest_edge == 8);
}

TEST_CASE("a preprocessor_config.json that names no class is of its family's") {
  const cornstarch::test::TemporaryFolder folder;
  const auto read = [&](const std::string& text) {
    std::ofstream(folder.path() / "preprocessor_config.json") << text;
    cornstarch::catalog::Modality encoder;
    encoder.spec.modules.emplace_back();
    encoder.spec.preprocessor = R"({"image_processor_type": "SiglipImageProcessor", "size": 8})";
    encoder.pretrained = folder.path().string();
    return media_source(encoder).value().preprocessor_json;
  };
  const auto made = ImagePreprocessor::parse(read(R"({"size": {"height": 8, "width": 8}})"), {3, 8, 8});
  REQUIRE(made);
  CHECK(made->processor == "SiglipImageProcessor");
  CHECK_FALSE(made->do_center_crop);
  CHECK(made->image_mean == std::vector<double>{0.5, 0.5, 0.5});
  for (const std::string text : {R"({"image_processor_type": "CLIPImageProcessor"})",
                                 R"({"feature_extractor_type": "CLIPFeatureExtractor"})", "[]", "{"})
    CHECK(read(text) == text);
}

TEST_CASE("a picture of another size than the encoder's is refused") {
  const auto free_size = ImagePreprocessor::parse(R"({"size": 8, "do_center_crop": false})", {3, 8, 8});
  REQUIRE(free_size);
  const Image wide{16, 8, std::vector<std::uint8_t>(3 * 16 * 8)};
  CHECK((*free_size)(wide).error().message == "the picture becomes [3, 8, 16], the encoder takes [3, 8, 8]");
  const Image needle{1, 30000, std::vector<std::uint8_t>(3 * 30000)};
  const auto huge = ImagePreprocessor::parse(R"({"size": 2000, "crop_size": 8})", {3, 8, 8});
  REQUIRE(huge);
  CHECK((*huge)(needle).error().message ==
        "a picture of 1 x 30000 pixels would be resized to 2000 x 60000000");
}

TEST_CASE("what a picture's preprocessor_config.json may not say") {
  const std::string p = "preprocessor_config.json: ";
  CHECK(clip_problem("", {3, 8, 8}).empty());
  CHECK(clip_problem("", {1, 8, 8}) ==
        p + "pictures cannot be prepared as [1, 8, 8]; [3, height, width] can");
  CHECK(clip_problem("{}", {3, 8, 8}) ==
        p + "it makes pictures of [3, 224, 224], the encoder takes [3, 8, 8]");
  CHECK(clip_problem("[]", {3, 8, 8}) == p + "not an object");
  CHECK(clip_problem("{", {3, 8, 8}).starts_with(p + "not JSON at byte 2: "));
  CHECK(clip_problem(R"({"image_processor_type": "ViTImageProcessor"})", {3, 8, 8}) ==
        p + "'image_processor_type' is ViTImageProcessor, which is not implemented here; implemented: "
            "CLIPImageProcessor, CLIPImageProcessorFast, CLIPImageProcessorPil, CLIPFeatureExtractor, "
            "SiglipImageProcessor, SiglipImageProcessorFast, SiglipImageProcessorPil, BitImageProcessor, "
            "BitImageProcessorFast, BitImageProcessorPil");
  CHECK(clip_problem(R"({"do_pad": true})", {3, 8, 8}) == p + "'do_pad' is not implemented");
  CHECK(clip_problem(R"({"size": {"longest_edge": 9}})", {3, 8, 8}) ==
        p + "'size.longest_edge' is not implemented");
  CHECK(clip_problem(R"({"size": {"height": 9}})", {3, 8, 8}) ==
        p + "'size' needs shortest_edge, or height and width");
  CHECK(clip_problem(R"({"size": 0})", {3, 8, 8}) == p + "'size' must be a whole number from 1, not 0");
  CHECK(clip_problem(R"({"size": true})", {3, 8, 8}) ==
        p + "'size' must be a number or an object, not true or false");
  CHECK(clip_problem(R"({"crop_size": {"height": 9}})", {3, 8, 8}) ==
        p + "'crop_size' must be a number, or an object with height and width");
  CHECK(clip_problem(R"({"resample": 1})", {3, 8, 8}) ==
        p + "'resample' 1 is not implemented; implemented: 2 (bilinear), 3 (bicubic)");
  CHECK(clip_problem(R"({"image_std": [1, 0, 1]})", {3, 8, 8}) == p + "'image_std' must not contain 0");
  CHECK(clip_problem(R"({"image_mean": [1, 0]})", {3, 8, 8}) == p + "'image_mean' must be three numbers");
  CHECK(clip_problem(R"({"do_rescale": "no"})", {3, 8, 8}) ==
        p + "'do_rescale' must be true or false, not a string");
}

TEST_CASE("recordings become what WhisperFeatureExtractor makes of them") {
  const auto cases = golden::json("whisper.json");
  REQUIRE(cases.size() == 5);
  for (const auto& one : cases) {
    const auto name = one["name"].get<std::string>();
    CAPTURE(name);
    const auto preprocess = LogMel::parse(one["preprocessor_json"], one["shape"].get<Shape>());
    REQUIRE(preprocess);
    auto audio = read_audio(golden::path("recordings/" + one["recording"].get<std::string>()),
                            preprocess->options().sampling_rate, preprocess->options().n_samples);
    REQUIRE(audio);
    if (name == "cut")
      audio->samples.insert(audio->samples.end(), audio->samples.begin(), audio->samples.end());
    const auto item = (*preprocess)(*audio);
    REQUIRE(item);
    CHECK(item->shape == one["shape"].get<Shape>());
    CHECK(golden::distance(item->values, golden::floats("whisper_" + name + ".bin")) <= 1e-4);
  }
}

TEST_CASE("silence is flat, and a recording at another rate is refused") {
  const auto preprocess = LogMel::parse("", {4, 10});
  REQUIRE(preprocess);
  CHECK(preprocess->options().n_samples == 1600);
  const auto silent = (*preprocess)(Audio{16000, std::vector<float>(10)});
  REQUIRE(silent);
  CHECK(silent->values == std::vector<float>(40, -1.5F));
  CHECK((*preprocess)(Audio{8000, std::vector<float>(10)}).error().message ==
        "a recording at 8000 Hz, not 16000");
}

TEST_CASE("a frame does not depend on the one it is transformed with: odd and even numbers of frames") {
  Audio tone{16000, {}};
  for (int i = 0; i < 800; ++i) tone.samples.push_back(std::sin(0.3F * static_cast<float>(i * i % 101)));
  const auto nine = LogMel::parse("", {4, 9}), ten = LogMel::parse("", {4, 10});
  REQUIRE(nine);
  REQUIRE(ten);
  const auto odd = (*nine)(tone), even = (*ten)(tone);
  REQUIRE(odd);
  REQUIRE(even);
  for (std::size_t mel = 0; mel < 4; ++mel) {
    for (std::size_t frame = 0; frame < 9; ++frame) {
      CAPTURE(mel, frame);
      CHECK(odd->values[mel * 9 + frame] == even->values[mel * 10 + frame]);
    }
    const float* row = even->values.data() + mel * 10;
    CHECK(row[0] > row[9]);  // sound in the first frames, none in the last
  }
}

TEST_CASE("what a recording's preprocessor_config.json may not say") {
  const std::string p = "preprocessor_config.json: ";
  CHECK(whisper_problem("{}", {80, 3000}).empty());
  CHECK(whisper_problem("{}", {80, 100}) ==
        p + "it makes recordings of [80, 3000], the encoder takes [80, 100]");
  CHECK(whisper_problem("{}", {3, 80, 100}) ==
        p + "recordings cannot be prepared as [3, 80, 100]; [mels, frames] can");
  CHECK(whisper_problem(R"({"dither": 0.1})", {80, 3000}) == p + "'dither' is not implemented");
  CHECK(whisper_problem(R"({"padding_side": "left"})", {80, 3000}) ==
        p + "'padding_side' \"left\" is not implemented");
  CHECK(whisper_problem(R"({"hop_length": 1.5})", {80, 3000}) ==
        p + "'hop_length' must be a whole number from 1, not 1.5");
  CHECK(whisper_problem("", {80, 1}) ==
        p + "recordings of 160 samples are too short for n_fft 400 and hop_length 160");
  CHECK(whisper_problem(R"({"feature_extractor_type": "ClapFeatureExtractor"})", {80, 3000}) ==
        p + "'feature_extractor_type' is ClapFeatureExtractor, which is not implemented here; implemented: "
            "WhisperFeatureExtractor");
}

TEST_CASE("what is written of a preprocessor says what it does") {
  ImagePreprocessor picture = ImagePreprocessor::parse("", {3, 8, 12}).value();
  CHECK(picture.to_json() == R"({
  "image_processor_type": "CLIPImageProcessor",
  "do_convert_rgb": true,
  "do_resize": true,
  "size": {
    "shortest_edge": 12
  },
  "resample": 3,
  "do_center_crop": true,
  "crop_size": {
    "height": 8,
    "width": 12
  },
  "do_rescale": true,
  "rescale_factor": 0.00392156862745098,
  "do_normalize": true,
  "image_mean": [
    0.48145466,
    0.4578275,
    0.40821073
  ],
  "image_std": [
    0.26862954,
    0.26130258,
    0.27577711
  ]
}
)");
  const auto again = [](const ImagePreprocessor& p) {
    return ImagePreprocessor::parse(p.to_json(), p.item_shape).value().to_json();
  };
  CHECK(again(picture) == picture.to_json());
  picture.shortest_edge = 0;
  picture.resize_height = 8;
  picture.resize_width = 12;
  picture.do_center_crop = picture.do_normalize = false;
  picture.filter = Filter::bilinear;
  CHECK(again(picture) == picture.to_json());

  const LogMel sound = LogMel::parse("", {4, 250}).value();  // two seconds and a half
  CHECK(sound.to_json() == R"({
  "feature_extractor_type": "WhisperFeatureExtractor",
  "feature_size": 4,
  "sampling_rate": 16000,
  "hop_length": 160,
  "chunk_length": 3,
  "n_samples": 40000,
  "nb_max_frames": 250,
  "n_fft": 400,
  "padding_side": "right",
  "padding_value": 0.0,
  "return_attention_mask": false
}
)");
  CHECK(LogMel::parse(sound.to_json(), {4, 250}).value().options().n_samples == 40000);
  // Hugging Face reads chunk_length alone.
  CHECK(LogMel::parse(R"({"chunk_length": 1, "n_samples": 480000})", {80, 100}).value().options().n_samples ==
        16000);
}
