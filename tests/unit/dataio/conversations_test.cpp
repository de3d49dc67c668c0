#include "conversation_fixture.h"

#include <sys/stat.h>

#include "catch.h"
#include "cornstarch/base/parallel.h"
#include "cornstarch/dataio/preprocess.h"
#include "cornstarch/dataio/sampler.h"
#include "index_format.h"
#include "peak_memory.h"
#include "sample_index.h"
#include "tar_writer.h"

using cornstarch::cat;
using cornstarch::ExitCode;
using namespace conversations;

namespace {

std::string base64(const std::string& bytes) {
  const char* letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k > bytes.size() ? '=' : letters[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

}  // namespace

TEST_CASE("a row has placeholders, the answer as labels, and padding") {
  Fixture f;
  f.file("train.jsonl", kSeen + "\n");
  const auto dataset = f.open();
  REQUIRE(dataset->size() == 1);
  CHECK(dataset->info(0).items == std::vector<int>{1, 0});
  CHECK(dataset->pad_id() == 0);

  const Ids question = f.ids("\nWhat is it?\n");
  const Ids answer = f.ids("seven") + Ids{1};  // </s>
  const auto row = dataset->text(0);
  REQUIRE(row);
  const Ids tokens = Ids{-1, -1, -1} + question + answer;
  const std::size_t padding = 48 - tokens.size();
  CHECK(row->length == std::ssize(tokens));
  CHECK(row->ids == tokens + Ids(padding, 0));
  CHECK(row->labels == Ids(3 + question.size(), -100) + answer + Ids(padding, -100));

  const auto media = dataset->media(0, 0);
  REQUIRE(media);
  REQUIRE(media->size() == 1);
  CHECK((*media)[0].shape == Ids{3, 12, 12});
  CHECK(dataset->media(0, 1)->empty());

  const auto asked = dataset->question(0);
  REQUIRE(asked);
  CHECK(asked->answer == "seven");
  CHECK(asked->prompt.ids == Ids{-1, -1, -1} + question);
  CHECK(asked->prompt.labels == Ids(3 + question.size(), -100));
  CHECK(asked->prompt.length == std::ssize(asked->prompt.ids));
}

TEST_CASE("several turns, of which the answers are learnt and the last is asked for") {
  Fixture f;
  f.file(
      "train.jsonl",
      R"({"conversations": [{"from": "system", "value": "Be kind."}, {"from": "user", "value": "A"},)"
      R"( {"from": "assistant", "value": "B"}, {"from": "human", "value": "C"}, {"from": "gpt", "value": "D"}]})");
  const auto dataset = f.open();
  const auto row = dataset->text(0);
  REQUIRE(row);
  const Ids start = f.ids("Be kind.\n") + f.ids("A\n");
  const Ids wanted = start + f.ids("B") + Ids{1} + f.ids("C\n") + f.ids("D") + Ids{1};
  CHECK(Ids(row->ids.begin(), row->ids.begin() + row->length) == wanted);
  const Ids labels =
      Ids(start.size(), -100) + f.ids("B") + Ids{1} + Ids(f.ids("C\n").size(), -100) + f.ids("D") + Ids{1};
  CHECK(Ids(row->labels.begin(), row->labels.begin() + row->length) == labels);
  const auto asked = dataset->question(0);
  REQUIRE(asked);
  CHECK(asked->answer == "D");
  CHECK(asked->prompt.ids == start + f.ids("B") + Ids{1} + f.ids("C\n"));
}

TEST_CASE("a begin token is put first; without an end token a newline ends the answer") {
  Fixture f;
  auto json = golden::json("tokenizer_gpt2.json");
  json["added_tokens"] = {{{"id", 700}, {"content", "<s>"}, {"special", true}}};
  f.folder.write("tokenizer.json", json.dump());
  f.file("train.jsonl", kText);
  const auto row = f.open()->text(0);
  REQUIRE(row);
  const Ids answer = f.ids("Hi\n");
  CHECK(Ids(row->ids.begin(), row->ids.begin() + row->length) == Ids{700} + f.ids("Hello\n") + answer);
  CHECK(Ids(row->labels.begin(), row->labels.begin() + row->length) ==
        Ids(1 + f.ids("Hello\n").size(), -100) + answer);
}

TEST_CASE("each encoder gets the files of its placeholders, in order") {
  Fixture f;
  f.options.media = {{"<image>", MediaKind::image, each(1), {3, 8, 8}, ""},
                     {"<image2>", MediaKind::image, each(2), {3, 4, 4}, ""},
                     {"<sound>", MediaKind::audio, each(1), {4, 100}, ""}};
  f.file(
      "train.jsonl",
      R"({"conversations": [{"from": "human", "value": "<image2>x<sound><image> <image2>"}, {"from": "gpt", "value": "y"}],)"
      R"( "images": ["a.png", "b.png", "b.png"], "audio": ["a.wav"]})");
  const auto dataset = f.open();
  CHECK(dataset->info(0).items == std::vector<int>{1, 2, 1});
  const auto row = dataset->text(0);
  REQUIRE(row);
  CHECK(Ids(row->ids.begin(), row->ids.begin() + 8) ==
        Ids{-2, -2} + f.ids("x") + Ids{-3, -1} + f.ids(" ") + Ids{-2, -2});
  const auto expect = [&](const std::string& name, std::int64_t edge) {
    const auto preprocess = ImagePreprocessor::parse("", {3, edge, edge});
    return (*preprocess)(*read_image(f.folder.path() / name))->values;
  };
  REQUIRE(dataset->media(0, 0)->size() == 1);
  CHECK((*dataset->media(0, 0))[0].values == expect("b.png", 8));
  REQUIRE(dataset->media(0, 1)->size() == 2);
  CHECK((*dataset->media(0, 1))[0].values == expect("a.png", 4));
  CHECK((*dataset->media(0, 1))[1].values == expect("b.png", 4));
  REQUIRE(dataset->media(0, 2)->size() == 1);
  CHECK((*dataset->media(0, 2))[0].shape == Ids{4, 100});
}

TEST_CASE("each picture has a size of its own, and as many rows") {
  Fixture f;
  std::filesystem::copy_file(golden::path("photos/jpeg_turned6.jpg"), f.folder.path() / "turned.jpg");
  f.options.media[0] = {"<image>",
                        MediaKind::image,
                        [](const auto& item) { return item.places() / 4; },
                        {3, 2, 4, 4},
                        R"({"patch_size": 4, "min_pixels": 64, "max_pixels": 512})",
                        {},
                        2};
  f.file(
      "train.jsonl",
      R"({"conversations": [{"from": "human", "value": "<image>x<image>"}, {"from": "gpt", "value": "y"}],)"
      R"( "images": ["turned.jpg", "a.png"]})"
      "\n" +
          kText + "\n" +
          R"({"conversations": [{"from": "human", "value": "<image>"}], "images": ["a.wav"]})");
  f.options.max_bad_fraction = 0.5;
  const auto dataset = f.open();
  using Items = std::vector<cornstarch::catalog::Extents>;
  const auto extents = dataset->extents(0);
  REQUIRE(extents);
  // 6 x 9 pixels once it stands upright, and 33 x 21.
  CHECK(*extents == SampleExtents{Items{{1, 2, 2}, {1, 4, 6}}, {}});
  CHECK(dataset->extents(1).value() == SampleExtents{{}, {}});
  CHECK(f.without_folder(dataset->extents(2).error().message) ==
        "train.jsonl:3: 'a.wav': a WAV recording, which is not read");
  const auto row = dataset->text(0);
  REQUIRE(row);
  CHECK(Ids(row->ids.begin(), row->ids.begin() + 8 - 1 + std::ssize(f.ids("x"))) ==
        Ids{-1} + f.ids("x") + Ids{-1, -1, -1, -1, -1, -1});
  const auto media = dataset->media(0, 0);
  REQUIRE(media);
  REQUIRE(media->size() == 2);
  CHECK((*media)[0].shape == Ids{4, 96});
  CHECK((*media)[1].shape == Ids{24, 96});
  CHECK(dataset->preprocessor_json(0) == f.options.media[0].preprocessor_json);
}

TEST_CASE("a recording has no size of its own") {
  Fixture f;
  f.options.media[1].extents.reset();
  CHECK(f.problem() == "no preprocessor keeps the lengths of what '<sound>' stands for");
}

TEST_CASE("a placeholder in an answer is not learnt") {
  Fixture f;
  f.file("train.jsonl",
         R"({"conversations": [{"from": "human", "value": "Show"}, {"from": "gpt", "value": "ok<image>"}],)"
         R"( "image": ["a.png"]})");
  const auto row = f.open()->text(0);
  REQUIRE(row);
  const auto question = f.ids("Show\n").size();
  CHECK(Ids(row->labels.begin() + static_cast<std::ptrdiff_t>(question), row->labels.begin() + row->length) ==
        f.ids("ok") + Ids{-100, -100, -100, 1});
}

TEST_CASE("an array, blank lines, line ends of other systems and a byte order mark are read") {
  Fixture f;
  f.file("a.json", " \n[\n" + kText + ",\n\n " + kSeen + "\n]\n");
  f.file("b.jsonl", "\xEF\xBB\xBF\r\n" + kSeen + "\r\n\r\n" + kText);
  const auto dataset = f.open();
  REQUIRE(dataset->size() == 4);
  std::vector<int> images;
  for (int i = 0; i < 4; ++i) images.push_back(dataset->info(i).items[0]);
  CHECK(images == std::vector<int>{0, 1, 1, 0});
}

TEST_CASE("parts of messages go to the encoder of their kind, be they files or data") {
  Fixture f;
  const std::string png = cornstarch::value_or_throw(cornstarch::read_file(f.folder.path() / "b.png"));
  const std::string seen = R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "x"},)"
                           R"( {"type": "image_url", "image_url": {"url": ")";
  const std::string asked =
      R"("}}, {"type": "text", "text": "y"}]}, {"role": "assistant", "content": "z"}]})";
  f.file("train.jsonl",
         seen + "a.png" + asked + "\n" + seen + "data:image/png;base64," + base64(png) + asked + "\n" +
             R"({"messages": [{"role": "user", "content": [{"type": "audio", "audio": "a.wav"}]},)"
             R"( {"role": "assistant", "content": "z"}]})");
  const auto dataset = f.open();
  REQUIRE(dataset->warnings().empty());
  REQUIRE(dataset->size() == 3);
  CHECK(dataset->info(0).items == std::vector<int>{1, 0});
  CHECK(dataset->info(1).items == std::vector<int>{1, 0});
  CHECK(dataset->info(2).items == std::vector<int>{0, 1});
  const auto row = dataset->text(0);
  REQUIRE(row);
  CHECK(Ids(row->ids.begin(), row->ids.begin() + row->length) ==
        f.ids("x") + Ids{-1, -1, -1} + f.ids("y\n") + f.ids("z") + Ids{1});
  const auto expect = [&](const std::string& name) {
    return (*ImagePreprocessor::parse("", {3, 12, 12}))(*read_image(f.folder.path() / name))->values;
  };
  CHECK((*dataset->media(0, 0)).at(0).values == expect("a.png"));
  CHECK((*dataset->media(1, 0)).at(0).values == expect("b.png"));
  CHECK((*dataset->media(2, 1)).at(0).shape == Ids{8, 100});
}

TEST_CASE("parts that no encoder takes, or several would, and data that is none") {
  const std::string part = R"({"messages": [{"role": "user", "content": [{"type": "image", "image": ")";
  const std::string end = R"("}]}, {"role": "assistant", "content": "z"}]})";
  const auto problem = [](Fixture& f) {
    const auto opened = ConversationDataset::open(f.options);
    REQUIRE_FALSE(opened);
    return f.without_folder(opened.error().message) +
           (opened.error().help.empty() ? "" : " | " + opened.error().help);
  };
  Fixture several;
  several.options.media.push_back({"<image2>", MediaKind::image, each(1), {3, 12, 12}, ""});
  several.file("train.jsonl", part + "a.png" + end);
  CHECK(problem(several) ==
        "train.jsonl:1: parts of type 'image' do not say which encoder takes them: '<image>', '<image2>' | "
        "write "
        "the encoder's placeholder into the text where a part stands, and list the files under 'images'");
  Fixture none;
  none.options.media.erase(none.options.media.begin());
  none.file("train.jsonl", R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})");
  CHECK(
      problem(none) ==
      "train.jsonl:1: the sample has 1 parts of type 'image', but no encoder of the model takes image files");
  Fixture few;
  few.file("train.jsonl",
           R"({"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text":)"
           R"( "<image>"}]}, {"role": "assistant", "content": "z"}], "images": ["a.png"]})");
  CHECK(problem(few) ==
        "train.jsonl:1: the sample has 1 parts of type 'image' and 1 placeholders ('<image>') in its text, "
        "but 1 "
        "image files | each part and each placeholder takes one file: that which the part names, or else the "
        "next "
        "of the list");
  const std::string name = "'data:image/png;base64,...'";
  for (const auto& [data, wanted] : std::vector<std::pair<std::string, std::string>>{
           {"data:image/png;base64," + std::string(65, 'A'), name + ": its base64 is cut short"},
           {"data:image/png;base64," + std::string(64, 'A') + "AA%A", name + ": no base64 at letter 67"},
           {"data:image/png,AAAA",
            "'data:image/png,AAAA': a data: URL that is not in base64 | it begins as "
            "data:image/png;base64, and goes on with the file's bytes in base64"}}) {
    Fixture f;
    f.file("train.jsonl", cat(part, data, end));
    CHECK(problem(f) == "train.jsonl:1: " + wanted);
  }
  Fixture text;
  text.file("train.jsonl", part + "data:;base64,aGFsbG8" + end);
  CHECK(text.without_folder(text.open()->media(0, 0).error().message)
            .starts_with("train.jsonl:1: 'data:;base64,aGFsbG8': "));
}

TEST_CASE("a shard is read where it lies") {
  for (const char* form : {"ustar", "gnu", "pax"}) {
    CAPTURE(form);
    Fixture f;
    std::filesystem::copy_file(golden::path(cat("shards/", form, ".tar")), f.folder.path() / "a.tar");
    f.options.files.push_back({f.folder.path() / "a.tar", f.folder.path() / "nowhere", 1});
    const auto dataset = f.open();
    REQUIRE(dataset->size() == 3);
    REQUIRE(dataset->warnings().size() == 1);
    CHECK(f.without_folder(dataset->warnings()[0]) ==
          "a.tar: 1 members are of no sample, since their names begin with a dot or have none");
    CHECK(dataset->info(0).items == std::vector<int>{1, 0});
    CHECK(dataset->info(1).items == std::vector<int>{2, 0});
    CHECK(dataset->info(2).items == std::vector<int>{1, 1});
    CHECK(f.without_folder(dataset->place(2)) == "a.tar:caption/2.*");
    const auto picture = [&](const std::string& name) {
      return (*ImagePreprocessor::parse("", {3, 12, 12}))(*read_image(f.folder.path() / name))->values;
    };
    CHECK((*dataset->media(0, 0)).at(0).values == picture("a.png"));
    CHECK((*dataset->media(1, 0)).at(0).values == picture("a.png"));
    CHECK((*dataset->media(1, 0)).at(1).values == picture("b.png"));
    CHECK((*dataset->media(2, 0)).at(0).values == picture("b.png"));
    const auto mel = LogMel::parse("", {8, 100});
    CHECK((*dataset->media(2, 1)).at(0).values ==
          (*mel)(*read_audio(f.folder.path() / "a.wav", 16000, mel->options().n_samples + 161))->values);
    const auto row = dataset->text(2);
    REQUIRE(row);
    CHECK(Ids(row->ids.begin(), row->ids.begin() + row->length) ==
          Ids{-1, -1, -1, -2, -2} + f.ids("\n") + f.ids("A drei-eck: \xE2\x96\xB3") + Ids{1});
    const auto asked = dataset->question(2);
    REQUIRE(asked);
    CHECK(asked->answer == "A drei-eck: \xE2\x96\xB3");
  }
}

TEST_CASE("what is wrong with a shard's samples is named by their keys") {
  using cornstarch::test::tar_member;
  Fixture f;
  f.file("a.tar", tar_member("ok.txt", "A") + tar_member("x/lone.png", "") + tar_member("7.json", "[]") +
                      tar_member("8.json", R"({"messages": [{"role": "user", "content": "B"}]})") +
                      tar_member("8.png", "no picture") + cornstarch::test::tar_end());
  f.file("b.tar", tar_member("1.txt", "A") + tar_member("2.png", "", '2') + cornstarch::test::tar_end());
  CHECK(f.problem() ==
        "a.tar:x/lone.*: the sample has neither a .json nor a .txt\n"
        "a.tar:7.*: the sample is a list, not an object\n"
        "a.tar:8.*: the text has 0 image placeholders ('<image>'), 'image' lists 1 files\n"
        "b.tar: at byte 1024: '2.png' is a link, which is not read");
  Fixture g;
  g.file("a.tar",
         tar_member("ok.txt", "A") + tar_member("ok.png", "no picture") + cornstarch::test::tar_end());
  CHECK(g.without_folder(g.open()->media(0, 0).error().message).starts_with("a.tar:ok.*: 'ok.png': "));
}

TEST_CASE("a long shard keeps its index, and knows its samples by it") {
  using cornstarch::test::tar_member;
  Fixture f;
  std::string archive;
  for (int i = 0; i < 2500; ++i) {
    archive += tar_member(cat("s/", i, ".txt"), cat("caption ", i));
    if (i % 2 == 1) archive += tar_member(cat("s/", i, ".png"), cat("picture ", i, std::string(600, ' ')));
  }
  f.file("a.tar", archive + cornstarch::test::tar_end());
  REQUIRE(archive.size() > std::size_t{4} << 20);
  for (int turn = 0; turn < 2; ++turn) {
    const auto dataset = f.open();
    CHECK(std::filesystem::exists(f.folder.path() / ".a.tar.index"));
    REQUIRE(dataset->size() == 2500);
    for (const int i : {0, 1, 1023, 1024, 2499}) {
      CAPTURE(i);
      CHECK(dataset->info(i).items == std::vector<int>{i % 2, 0});
      CHECK(f.without_folder(dataset->place(i)) == cat("a.tar:s/", i, ".*"));
      CHECK(dataset->question(i)->answer == cat("caption ", i));
    }
  }
}

TEST_CASE("every problem of the files is named with its line, all at once") {
  Fixture f;
  f.file(
      "train.jsonl",
      kText + "\n" +
          "{\"conversations\": [\n"
          "[1]\n"
          "{\"id\": 3}\n"
          R"({"conversations": [{"from": "bot", "value": "x"}]})"
          "\n"
          R"({"conversations": [{"from": "gpt", "value": 5}]})"
          "\n"
          R"({"conversations": [{"from": "gpt", "value": "x"}], "image": "a.png"})"
          "\n"
          R"({"conversations": [{"from": "human", "value": "<image>"}], "images": ["a.png", "b.png"]})"
          "\n"
          R"({"conversations": [{"from": "human", "value": "<image><sound>"}], "image": "a.png"})"
          "\n"
          R"({"conversations": [{"from": "human", "value": "<image>"}], "image": "c.png"})"
          "\n"
          R"({"conversations": [{"from": "human", "value": "<image>"}], "image": "../a.png"})"
          "\n"
          R"({"conversations": [{"from": "human", "value": "<image>"}], "image": 7})"
          "\n"
          R"({"conversations": [{"from": "human", "value": "<image>"}], "image": "a.png", "images": []})"
          "\n"
          R"({"conversations": [{"from": "human", "value": ")" +
          [] {
            std::string s;
            for (int i = 0; i < 17; ++i) s += "<image>";
            return s;
          }() +
          R"("}], "image": [)" +
          [] {
            std::string s;
            for (int i = 0; i < 17; ++i) s += i ? ", \"a.png\"" : "\"a.png\"";
            return s;
          }() +
          "]}\n");
  f.options.files.push_back({f.folder.path() / "none.jsonl", f.folder.path(), 1});
  f.file("empty.jsonl", "\n");
  f.file("weight.jsonl", kText, -1);
  f.file("open.json", "[" + kText + ",\n" + kText);
  f.file("hole.json", "[\n" + kText + ",\n,]");
  f.file("more.json", "[\n" + kText + "]\n{");
  const std::string folder = f.folder.path().string();
  const std::string text = f.problem();
  const auto lines = cornstarch::split(text, '\n');
  REQUIRE(lines.size() == 19);
  CHECK(lines[0].starts_with("train.jsonl:2: not JSON at byte 20: "));
  const std::vector<std::string> wanted = {
      "train.jsonl:3: the sample is a list, not an object",
      "train.jsonl:4: the sample has no list 'conversations' or 'messages' of turns",
      cat("train.jsonl:5: conversations[0].from is 'bot'; allowed: human, user, system, developer, gpt, ",
          "assistant, chatgpt, bing, bard, model"),
      "train.jsonl:6: conversations[0] has no text 'value'",
      "train.jsonl:7: the text has 0 image placeholders ('<image>'), 'image' lists 1 files",
      "train.jsonl:8: the text has 1 image placeholders ('<image>'), 'image' lists 2 files",
      "train.jsonl:9: the text has 1 audio placeholders ('<sound>'), 'audio' lists 0 files",
      "train.jsonl:10: 'c.png' is not a file in '" + folder + "'",
      "train.jsonl:11: '../a.png' is refused: it contains '..'",
      "train.jsonl:12: 'image' must be a path or a list of paths, not a number",
      "train.jsonl:13: both 'image' and 'images'",
      "train.jsonl:14: the sample's media alone take 51 tokens, sequence_length is 48",
      "cannot read 'none.jsonl': No such file or directory",
      "empty.jsonl: no samples",
      "weight.jsonl: the weight -1 is not between 0 and 1e6",
      "open.json:2: the list does not end",
      "hole.json:3: a sample is missing in the list",
      "more.json:3: text after the end of the list",
  };
  for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(lines[i + 1] == wanted[i]);
}

TEST_CASE("from the 21st problem on they are counted") {
  Fixture f;
  std::string content;
  for (int i = 0; i < 25; ++i) content += "7\n";
  f.file("train.jsonl", content);
  const auto lines = cornstarch::split(f.problem(), '\n');
  REQUIRE(lines.size() == 21);
  CHECK(lines[19] == "train.jsonl:20: the sample is a number, not an object");
  CHECK(lines[20] == "and 5 more");
}

TEST_CASE("media without an encoder, and an unknown template") {
  Fixture f;
  f.file("train.jsonl", kSeen);
  f.options.media.clear();
  CHECK(f.problem() == "train.jsonl:1: 'image' lists 1 files, but no encoder of the model takes image files");
  f.options.chat_template = "plan";
  const auto opened = ConversationDataset::open(f.options);
  REQUIRE_FALSE(opened);
  CHECK(
      opened.error().message ==
      "no chat template 'plan'; there are: plain, vicuna, llama2, llama3, mistral, chatml, qwen2_vl, gemma, "
      "checkpoint");
  CHECK(opened.error().help == "did you mean 'plain'?");
  CHECK(opened.error().code == ExitCode::usage);
}

TEST_CASE("samples that turn out bad when they are loaded are named with file and line") {
  Fixture f;
  f.options.sequence_length = 8;
  f.folder.write("broken.png", "\x89PNG\r\n\x1a\nrest");
  f.folder.write("broken.wav", "RIFF");
  f.file("train.jsonl",
         "\n" + kSeen + "\n" +
             R"({"conversations": [{"from": "human", "value": "<image>"}], "image": "broken.png"})"
             "\n"
             R"({"conversations": [{"from": "human", "value": "<sound>"}], "audio": "broken.wav"})"
             "\n");
  const auto dataset = f.open();
  const auto length = 3 + f.ids("\nWhat is it?\n").size() + f.ids("seven").size() + 1;
  const auto text = dataset->text(0);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ExitCode::bad_data);
  CHECK(f.without_folder(text.error().message) ==
        cornstarch::cat("train.jsonl:2: the sample is ", length,
                        " tokens long, 3 of them for media; sequence_length is 8"));
  CHECK(f.without_folder(dataset->question(0).error().message) ==
        cornstarch::cat("train.jsonl:2: the question is ", 3 + f.ids("\nWhat is it?\n").size(),
                        " tokens long, sequence_length is 8"));
  CHECK(f.without_folder(dataset->question(1).error().message) ==
        "train.jsonl:3: the conversation has no answer");
  CHECK(f.without_folder(dataset->media(1, 0).error().message) ==
        "train.jsonl:3: 'broken.png': a broken PNG picture: the file ends early");
  CHECK(f.without_folder(dataset->media(2, 1).error().message)
            .starts_with("train.jsonl:4: 'broken.wav': not a recording that can be read: "));
  std::filesystem::remove(f.folder.path() / "a.png");
  const auto gone = dataset->media(0, 0);
  REQUIRE_FALSE(gone);
  CHECK(gone.error().code == ExitCode::missing_input);
  CHECK(f.without_folder(gone.error().message) ==
        "train.jsonl:2: 'a.png' is not a file in '" + f.folder.path().string() + "'");
}

TEST_CASE("several threads read one data set") {
  Fixture f;
  const std::string heard =
      R"({"conversations": [{"from": "human", "value": "<sound>"}], "audio": "slow.wav"})";
  std::filesystem::copy_file(golden::path("recordings/float.wav"), f.folder.path() / "slow.wav");
  std::string content;
  for (int i = 0; i < 8; ++i)
    for (const std::string& line : {kSeen, heard, kText}) content.append(line).append("\n");
  f.file("train.jsonl", content);
  const auto dataset = f.open();
  const auto values = [&](std::int64_t sample) {
    std::vector<float> out;
    for (const int encoder : {0, 1}) {
      const auto items = dataset->media(sample, encoder);
      for (const MediaItem& item : *items) out.insert(out.end(), item.values.begin(), item.values.end());
    }
    return out;
  };
  const auto size = static_cast<std::size_t>(dataset->size());
  std::vector<TextRow> rows(size);
  std::vector<std::vector<float>> media(size);
  cornstarch::parallel_for(size, 4, [&](std::size_t i) {
    rows[i] = *dataset->text(static_cast<std::int64_t>(i));
    media[i] = values(static_cast<std::int64_t>(i));
  });
  for (std::size_t i = 0; i < size; ++i) {
    CAPTURE(i);
    CHECK(rows[i].ids == dataset->text(static_cast<std::int64_t>(i))->ids);
    CHECK(media[i] == values(static_cast<std::int64_t>(i)));
    CHECK(media[i].size() == std::vector<std::size_t>{3 * 12 * 12, 8 * 100, 0}[i % 3]);
  }
}

TEST_CASE("what somebody may not expect of the data is said once, with a count") {
  Fixture f;
  const std::string asked = R"({"conversations": [{"from": "human", "value": "Why <video>?"}]})";
  const std::string other =
      R"({"conversations": [{"from": "gpt", "value": "<video>"}], "img": "a.png", "image": []})";
  f.file("train.jsonl", kText + "\n" + asked + "\n" + asked + "\n" + other + "\n");
  const auto dataset = f.open();
  std::vector<std::string> said;
  for (const std::string& warning : dataset->warnings()) said.push_back(f.without_folder(warning));
  CHECK(
      said ==
      std::vector<std::string>{
          "train.jsonl:2: the conversation has no answer (a turn from 'gpt' or 'assistant'): nothing is "
          "learnt from it (2 of 4 samples; this is the first)",
          "train.jsonl:2: '<video>' is no encoder's placeholder: it stays text (3 of 4 samples; this is the "
          "first)",
          "train.jsonl:4: 'img' names media, but nothing reads it; keys that are read: image, images, audio, "
          "audios (1 of 4 samples; this is the first)"});
  CHECK(f.without_folder(dataset->place(3)) == "train.jsonl:4");
}

TEST_CASE("a system text beside the turns is the first of them") {
  Fixture f;
  f.file("train.jsonl", R"({"system": "Be kind.", "conversations": [{"from": "human", "value": "A"},)"
                        R"( {"from": "gpt", "value": "B"}]})");
  const auto row = f.open()->text(0);
  REQUIRE(row);
  CHECK(Ids(row->ids.begin(), row->ids.begin() + row->length) ==
        f.ids("Be kind.\n") + f.ids("A\n") + f.ids("B") + Ids{1});
}

TEST_CASE("media that no encoder takes, or under a key that nothing reads, are refused with what helps") {
  Fixture f;
  f.file("train.jsonl", R"({"conversations": [{"from": "gpt", "value": "x"}], "video": "a.mp4"})"
                        "\n"
                        R"({"conversations": [{"from": "gpt", "value": "<image>"}], "img": "a.png"})"
                        "\n");
  const auto opened = ConversationDataset::open(f.options);
  REQUIRE_FALSE(opened);
  CHECK(f.without_folder(opened.error().message) ==
        "train.jsonl:1: 'video' lists 1 files, but no encoder of the model takes video files\n"
        "train.jsonl:2: the text has 1 image placeholders ('<image>'), 'image' lists 0 files");
  CHECK(opened.error().help ==
        "is 'img' meant? Nothing reads it: image files are listed under 'image' or 'images'");
  Fixture g;
  g.file("train.jsonl", R"({"conversations": [{"from": "gpt", "value": "<picture>"}], "image": "a.png"})");
  CHECK(ConversationDataset::open(g.options).error().help ==
        "the places of image files are marked in the text by '<image>'; another mark is set by "
        "model.encoders.<name>.placeholder");
}

TEST_CASE("bad samples are tolerated up to a share, and said") {
  Fixture f;
  const std::string lost = R"({"conversations": [{"from": "gpt", "value": "<image>"}], "image": "lost.png"})";
  f.file("train.jsonl", kSeen + "\n7\n" + kText + "\n" + lost + "\n");
  f.options.max_bad_fraction = 0.2;
  const std::string folder = f.folder.path().string();
  CHECK(f.problem() ==
        "1 of 4 samples cannot be used (data.max_bad_fraction is 0.2):\n"
        "train.jsonl:2: the sample is a number, not an object\n"
        "train.jsonl:4: 'lost.png' is not a file in '" +
            folder + "'");
  f.options.max_bad_fraction = 0.34;
  const auto dataset = f.open();
  REQUIRE(dataset->warnings().size() == 1);
  CHECK(f.without_folder(dataset->warnings()[0]) ==
        "1 of 4 samples cannot be used and will be skipped:\n"
        "train.jsonl:2: the sample is a number, not an object\n"
        "train.jsonl:4: 'lost.png' is not a file in '" +
            folder + "'");
  CHECK(dataset->size() == 4);
  CHECK(dataset->info(0).items == std::vector<int>{1, 0});
  CHECK(dataset->info(1).items == std::vector<int>{0, 0});
  CHECK(f.without_folder(dataset->text(1).error().message) ==
        "train.jsonl:2: the sample is a number, not an object");
  CHECK(f.without_folder(dataset->media(1, 0).error().message) ==
        "train.jsonl:2: the sample is a number, not an object");
}

TEST_CASE("of a long file, the media of samples all over it are looked for") {
  Fixture f;
  std::string content;
  for (int i = 0; i < 20000; ++i)
    content += cat(R"({"conversations": [{"from": "gpt", "value": "<image>"}], "image": ")",
                   i < 10000 ? "a.png" : "lost.png", "\"}\n");
  f.file("train.jsonl", content);
  const auto lines = cornstarch::split(f.problem(), '\n');
  REQUIRE(lines.size() == 21);
  CHECK(lines[0] == "train.jsonl:10020: 'lost.png' is not a file in '" + f.folder.path().string() + "'");
  CHECK(lines[20] == "and 480 more");
  f.options.max_bad_fraction = 0.4;
  CHECK(cornstarch::split(f.problem(), '\n')[0] ==
        "500 of 1000 samples that were looked at lack media (data.max_bad_fraction is 0.4):");
}

TEST_CASE("conversations without any answer are no data set") {
  Fixture f;
  f.file("train.jsonl", R"({"conversations": [{"from": "human", "value": "A"}]})");
  CHECK(f.problem() == "no conversation has an answer (a turn from 'gpt' or 'assistant')");
}

TEST_CASE("media are confined to their folder, links inside included; a pipe is no file") {
  Fixture f;
  namespace fs = std::filesystem;
  fs::create_directories(f.folder.path() / "media" / "sub");
  fs::copy_file(f.folder.path() / "a.png", f.folder.path() / "media" / "sub" / "a.png");
  fs::create_symlink("sub/a.png", f.folder.path() / "media" / "link.png");
  fs::create_symlink("../a.png", f.folder.path() / "media" / "out.png");
  fs::create_directory_symlink("..", f.folder.path() / "media" / "up");
  REQUIRE(::mkfifo((f.folder.path() / "media" / "pipe.png").c_str(), 0600) == 0);
  const std::string root = (f.folder.path() / "media").string();
  const auto problem = [&](const std::string& name) {
    f.options.files = {
        {f.folder.write(
             "train.jsonl",
             cat(R"({"conversations": [{"from": "gpt", "value": "<image>"}], "image": ")", name, "\"}")),
         root, 1}};
    const auto opened = ConversationDataset::open(f.options);
    if (opened) return std::string((*opened)->media(0, 0) ? "" : "unreadable");
    return f.without_folder(opened.error().message) + " | " + opened.error().help;
  };
  const std::string inside = " | list paths relative to media_root, a folder that holds all of them";
  CHECK(problem("sub/a.png").empty());
  CHECK(problem("./sub//a.png").empty());
  CHECK(problem("link.png").empty());
  CHECK(problem("out.png") == "train.jsonl:1: 'out.png' is refused: a link leads out of the folder" + inside);
  CHECK(problem("up/a.png") ==
        "train.jsonl:1: 'up/a.png' is refused: a link leads out of the folder" + inside);
  CHECK(problem("sub/../sub/a.png") ==
        "train.jsonl:1: 'sub/../sub/a.png' is refused: it contains '..'" + inside);
  CHECK(problem("/a.png") == "train.jsonl:1: '/a.png' is refused: it is an absolute path" + inside);
  CHECK(problem(root + "/sub/a.png").ends_with("is refused: it is an absolute path" + inside));
  CHECK(problem("pipe.png") ==
        "train.jsonl:1: 'pipe.png' is not a file in 'media'"
        " | media_root is the folder in which the paths of a data set begin");
}

TEST_CASE("a text that no tokens make short enough is refused without being tokenised") {
  Fixture f;
  f.options.sequence_length = 1000;
  const auto sample = [](std::size_t size) {
    return R"({"conversations": [{"from": "human", "value": ")" + std::string(size, 'x') +
           R"("}, {"from": "gpt", "value": "Hi"}]})";
  };
  f.file("train.jsonl", sample(127'998) + "\n" + sample(127'999) + "\n" + sample(60'000'000) + "\n");
  const auto dataset = f.open();
  CHECK(f.without_folder(dataset->text(0).error().message).starts_with("train.jsonl:1: the sample is "));
  for (const auto& [sample_number, size] : {std::pair{1, "125 KiB"}, std::pair{2, "57.2 MiB"}}) {
    const std::string wanted = cat("train.jsonl:", sample_number + 1, ": the sample's text of ", size,
                                   " does not fit: sequence_length is 1000");
    const auto row = dataset->text(sample_number);
    REQUIRE_FALSE(row);
    CHECK(f.without_folder(row.error().message) == wanted);
    CHECK(row.error().help == "a larger batch.sequence_length, or a shorter sample");
    CHECK(f.without_folder(dataset->question(sample_number).error().message) == wanted);
  }
  CHECK(cornstarch::test::peak_memory_of([&] { return !dataset->text(2); }) < std::int64_t{256} << 20);
}

TEST_CASE("an epoch that cannot be dealt is refused") {
  Fixture f;
  std::string lines;
  for (int i = 0; i < 2200; ++i) lines += kText + "\n";
  f.file("train.jsonl", lines, 1e6);
  const auto opened = ConversationDataset::open(f.options);
  REQUIRE_FALSE(opened);
  CHECK(f.without_folder(opened.error().message) ==
        "train.jsonl: an epoch of 2200000000 samples and more; 2147483648 can be dealt");
  CHECK(opened.error().help == "lower the weights of the data");
}

TEST_CASE("what an index says of a sample is compared when the sample is read") {
  Fixture f;
  std::string lines;
  for (int i = 0; i < 12'000; ++i) lines += (i % 2 == 0 ? kSeen : kText) + std::string(280, ' ') + "\n";
  lines += kSeen;
  f.file("train.jsonl", lines);
  {
    const auto dataset = f.open();
  }
  const std::filesystem::path path = f.folder.path() / ".train.jsonl.index";
  std::string bytes = cornstarch::value_or_throw(cornstarch::read_file(path));
  IndexHead head{};
  std::memcpy(&head, bytes.data(), sizeof head);
  REQUIRE(head.samples == 12'001);
  // The last sample trades places with one without pictures, for whoever believes the index.
  const std::size_t last = sizeof head + 12'000 * head.stride, second = sizeof head + head.stride;
  constexpr std::size_t place = offsetof(SampleIndex::Entry, files);
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(second + place), head.stride - place,
              bytes.begin() + static_cast<std::ptrdiff_t>(last + place));
  head.hash = index_hash(std::string_view(bytes).substr(offsetof(IndexHead, samples)));
  std::memcpy(bytes.data(), &head, sizeof head);
  f.folder.write(".train.jsonl.index", bytes);
  const auto dataset = f.open();
  CHECK(dataset->info(12'000).items == std::vector<int>{0, 0});
  CHECK(dataset->text(11'998).has_value());
  try {
    (void)dataset->text(12'000);
    FAIL("read");
  } catch (const cornstarch::Failure& failure) {
    CHECK(f.without_folder(failure.what()) == "train.jsonl:12001: not the sample that the index knows");
  }
}
