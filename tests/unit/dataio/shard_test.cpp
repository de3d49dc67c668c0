#include "shard.h"

#include "catch.h"
#include "cornstarch/base/text.h"
#include "golden.h"
#include "tar_writer.h"

using cornstarch::cat;
using cornstarch::test::tar_end;
using cornstarch::test::tar_member;
using namespace cornstarch::dataio;
using Texts = std::vector<std::string>;

namespace {

const std::string kImage = "\xEF\xB7\x90", kAudio = "\xEF\xB7\x91";
const std::string kTurns = R"({"conversations": [{"from": "gpt", "value": "A"}])";

/// "key: turns | files" of each sample, or what is wrong with it.
Texts reading(const std::string& archive) {
  const golden::Folder folder;
  const auto file = cornstarch::value_or_throw(DataFile::open(folder.write("a.tar", archive)));
  ShardReader reader(file.part(0, file.size()));
  Texts out;
  for (auto sample = *reader.next(); sample; sample = *reader.next()) {
    const auto read = read_shard_sample(*sample, file);
    std::string& line = out.emplace_back(sample->key + ":");
    if (!read) {
      line += " " + read.error().message + (read.error().help.empty() ? "" : " | " + read.error().help);
      continue;
    }
    for (const Turn& turn : read->turns) line += " [" + turn.text + "]";
    for (const auto& files : read->files)
      for (const std::string& name : files) line += " " + name;
  }
  if (reader.unkeyed() > 0) out.push_back(cat(reader.unkeyed(), " of no sample"));
  return out;
}

std::string member(const std::string& name, const std::string& content = "x") {
  return tar_member(name, content);
}

}  // namespace

TEST_CASE("a sample is what shares a name up to the first dot") {
  CHECK(reading(member("a/1.x.json", kTurns + "}") + member("a/1.y.png") + member("a/2.txt", " A cat.\n") +
                member("b/2.txt", "B") + member("b/2.flac") + member("b/2.png") + member("b/2.1.PNG") +
                member("b/2.cls") + member(".hidden.txt") + member("LICENSE") + member("b/dot.") +
                member("b/3.txt", "C") + tar_end()) ==
        Texts{cornstarch::cat(
                  "a/1: the sample has neither a .json nor a .txt | a sample of a shard is KEY.json, ",
                  "a conversation, or KEY.txt, a caption, beside KEY.jpg, KEY.wav, ..."),
              "a/2: [] [A cat.]", "b/2: [" + kImage + kImage + kAudio + "] [B] b/2.png b/2.1.PNG b/2.flac",
              "b/3: [] [C]", "3 of no sample"});
}

TEST_CASE("a conversation has the members that it names, or all of a kind") {
  const auto sample = [](const std::string& keys) {
    return reading(member("d/1.json", kTurns + keys + "}") + member("d/1.png") + member("d/1.left.jpg") +
                   member("d/1.wav") + tar_end())
        .at(0);
  };
  CHECK(sample("") == "d/1: [A] d/1.png d/1.left.jpg d/1.wav");
  CHECK(sample(R"(, "image": "d/1.left.jpg", "audio": "wav")") == "d/1: [A] d/1.left.jpg d/1.wav");
  CHECK(sample(R"(, "images": ["1.png", "left.jpg", ".png", "./d/1.png"])") ==
        "d/1: [A] d/1.png d/1.left.jpg d/1.png d/1.png d/1.wav");
  CHECK(sample(R"(, "image": "data:image/png;base64,AAAA")") ==
        "d/1: [A] data:image/png;base64,AAAA d/1.wav");
  CHECK(sample(R"(, "image": "../2.png")") ==
        "d/1: '../2.png' is no member of the sample, which has: json, png, left.jpg, wav | name a member by "
        "what "
        "follows the key ('jpg'), or name none: then all are taken in their order");
}

TEST_CASE("a caption counts where the .json is no conversation, but not where it is a broken one") {
  const auto sample = [](const std::string& json) {
    return reading(member("1.json", json) + member("1.txt", "C") + tar_end()).at(0);
  };
  CHECK(sample(R"({"url": "x"})") == "1: [] [C]");
  CHECK(sample(kTurns + "}") == "1: [A]");
  CHECK(sample(R"({"messages": [7]})") == "1: messages[0] is a number, not an object");
  CHECK(sample("{").starts_with("1: not JSON at byte 2: "));
  CHECK(reading(member("1.txt", "\xFF") + tar_end()) == Texts{"1: the .txt is no UTF-8 text"});
  CHECK(reading(member("1.txt", kImage) + tar_end()) ==
        Texts{"1: the .txt has a code point of U+FDD0 to U+FDD2, which are no characters"});
  CHECK(reading(member("1.txt") + member("1.png") + member("1.txt") + tar_end()) ==
        Texts{"1: the sample has '1.txt' twice"});
  CHECK(reading(member("1.txt", std::string((std::size_t{64} << 20) + 1, 'x')) + tar_end()) ==
        Texts{"1: '1.txt' is longer than 64 MiB, the most that is read"});
}
