#include "cornstarch/dataio/tokenizer.h"

#include <chrono>
#include <cstdlib>

#include "catch.h"
#include "golden.h"

using cornstarch::ExitCode;
using cornstarch::dataio::Tokenizer;
using Ids = std::vector<std::int64_t>;

namespace {

Tokenizer load(const std::string& name) {
  return cornstarch::value_or_throw(Tokenizer::load(golden::path("tokenizer_" + name + ".json")));
}

/// A tokenizer of the 256 bytes, and "ab", "bc", "abc".
nlohmann::json small() {
  nlohmann::json vocab = nlohmann::json::object();
  const auto letters = golden::json("tokenizer_gpt2.json")["model"]["vocab"];
  for (const auto& [token, id] : letters.items()) {
    if (id >= 3 && id < 259) vocab[token] = id.get<int>() - 3;
  }
  vocab["ab"] = 256;
  vocab["bc"] = 257;
  vocab["abc"] = 258;
  return {{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"b c", "a b", "a bc"}}}},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"added_tokens", nlohmann::json::array()}};
}

std::string problem(const nlohmann::json& json) {
  const auto tokenizer = Tokenizer::parse(json.dump(), "t.json");
  if (tokenizer) return "";
  CHECK(tokenizer.error().code == ExitCode::bad_data);
  return tokenizer.error().message;
}

nlohmann::json split_pattern(const std::string& regex, const std::string& behavior = "Isolated") {
  auto json = small();
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", behavior}, {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  return json;
}

}  // namespace

TEST_CASE("ids and decoded text are those of Hugging Face's tokenizers") {
  const auto name = GENERATE(as<std::string>(), "gpt2", "llama3", "qwen2", "digits", "removed",  // byte-level
                             "llama2", "first", "always", "never", "gemma", "unknown", "fused", "splits");
  const Tokenizer tokenizer = load(name);
  const auto cases = golden::json("tokenizer_" + name + "_cases.json");
  REQUIRE(cases["strings"].size() > 150);
  for (std::size_t i = 0; i < cases["strings"].size(); ++i) {
    const auto text = cases["strings"][i].get<std::string>();
    CAPTURE(name, i, text);
    const auto ids = tokenizer.encode(text);
    REQUIRE(ids);
    REQUIRE(*ids == cases["ids"][i].get<Ids>());
    REQUIRE(tokenizer.decode(*ids) == cases["decoded"][i].get<std::string>());
    const Ids tail(ids->begin() + (ids->empty() ? 0 : 1), ids->end());
    REQUIRE(tokenizer.decode(tail, true) == cases["decoded_tails"][i].get<std::string>());
  }
}

TEST_CASE("merges are taken in the order in which they were learnt") {
  auto json = small();
  const auto tokenizer = cornstarch::value_or_throw(Tokenizer::parse(json.dump(), "t.json"));
  const auto a = tokenizer.id("a"), c = tokenizer.id("c");
  REQUIRE((a && c));
  CHECK(*tokenizer.encode("abc") == Ids{258});
  CHECK(*tokenizer.encode("ab") == Ids{256});
  CHECK(*tokenizer.encode("aabcc") == Ids{*a, 258, *c});
  json["model"]["merges"] = {"a b", "b c"};
  const auto without_abc = cornstarch::value_or_throw(Tokenizer::parse(json.dump(), "t.json"));
  CHECK(*without_abc.encode("abc") == Ids{256, *c});
  json["model"]["ignore_merges"] = true;
  const auto whole_words = cornstarch::value_or_throw(Tokenizer::parse(json.dump(), "t.json"));
  CHECK(*whole_words.encode("abc") == Ids{258});
  CHECK(*whole_words.encode("abcc") == Ids{256, *c, *c});
}

TEST_CASE("a line of a megabyte takes no more than a moment") {
  const auto name = GENERATE(as<std::string>(), "gpt2", "llama2", "always", "gemma");
  const Tokenizer tokenizer = load(name);
  for (const std::string letter : {"a", " ", "<"}) {
    std::string text;
    while (text.size() < 1'000'000) text += letter;
    CAPTURE(name, letter);
    const auto begin = std::chrono::steady_clock::now();
    const auto ids = tokenizer.encode(text);
    REQUIRE(ids);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));  // quadratic: many minutes
    if (name == "gpt2" || letter != " ") CHECK(tokenizer.decode(*ids) == text);
  }
}

TEST_CASE("a marked part of a text is found again among the tokens") {
  const auto name = GENERATE(as<std::string>(), "gpt2", "llama2", "always", "gemma", "qwen2");
  const Tokenizer tokenizer = load(name);
  const std::string before = "what is 7 plus 3?", marked = " the answer</s>", after = "<image> seven and";
  const auto encoded = tokenizer.encode({{before, false}, {marked, true}, {after, false}}, true);
  REQUIRE(encoded);
  CHECK(encoded->ids == *tokenizer.encode(before + marked + after));
  REQUIRE(encoded->marks.size() == encoded->ids.size());
  Ids answer;
  std::vector<std::size_t> at;
  for (std::size_t i = 0; i < encoded->ids.size(); ++i) {
    if (!encoded->marks[i]) continue;
    answer.push_back(encoded->ids[i]);
    at.push_back(i);
  }
  REQUIRE_FALSE(at.empty());
  CHECK(at.back() - at.front() + 1 == at.size());
  CHECK(answer.back() == tokenizer.id("</s>"));
  answer.pop_back();
  const std::string text = tokenizer.decode(answer);
  CAPTURE(name, text);
  CHECK((text == "the answer" || text == " the answer"));
}

TEST_CASE("words that begin a text are spelled otherwise where the tokenizer says so") {
  const Tokenizer first = load("first");
  CHECK(first.encode({{"answer", false}}, true)->ids == *first.encode("answer"));
  const auto later = first.encode({{"answer", false}}, false);
  CHECK(later->ids != *first.encode("answer"));
  CHECK(first.decode(later->ids) == "answer");
}

TEST_CASE("special tokens by their usual names") {
  const Tokenizer tokenizer = load("gpt2");
  CHECK(tokenizer.size() == 606);
  CHECK(tokenizer.pad_id() == 0);
  CHECK(tokenizer.end_id() == 1);
  CHECK_FALSE(tokenizer.begin_id());
  CHECK(tokenizer.id("<image>") == 600);
  CHECK_FALSE(tokenizer.id("<picture>"));

  auto json = small();
  const auto bare = cornstarch::value_or_throw(Tokenizer::parse(json.dump(), "t.json"));
  CHECK_FALSE(bare.end_id());
  CHECK(bare.pad_id() == 0);
  json["added_tokens"] = {{{"id", 300}, {"content", "<|endoftext|>"}, {"special", true}},
                          {{"id", 301}, {"content", "<|begin_of_text|>"}, {"special", true}}};
  const auto gpt = cornstarch::value_or_throw(Tokenizer::parse(json.dump(), "t.json"));
  CHECK(gpt.end_id() == 300);
  CHECK(gpt.pad_id() == 300);
  CHECK(gpt.begin_id() == 301);
  CHECK(gpt.size() == 302);
  CHECK(gpt.decode({301, 256, 300, 299, -1, 1000}) == "<|begin_of_text|>ab<|endoftext|>");
  CHECK(gpt.decode({301, 256, 300}, true) == "ab");
}

TEST_CASE("text that cannot be encoded") {
  auto json = small();
  const auto whole = cornstarch::value_or_throw(Tokenizer::parse(json.dump(), "t.json"));
  for (const std::string bad : {"\xFF", "a\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80"})
    CHECK(whole.encode(bad).error().message == "the text is not UTF-8");
  json["model"]["vocab"].erase("z");
  const auto without_z = cornstarch::value_or_throw(Tokenizer::parse(json.dump(), "t.json"));
  CHECK(without_z.encode("az").error().message == "the tokenizer's vocabulary has no token for 'z'");
  CHECK(without_z.encode("ab"));
}

TEST_CASE("a tokenizer.json that is not implemented is refused by name") {
  REQUIRE(problem(small()).empty());
  auto json = small();
  SECTION("model type") {
    json["model"]["type"] = "WordPiece";
    CHECK(problem(json) == "t.json: model type 'WordPiece' is not implemented");
  }
  SECTION("suffix") {
    json["model"]["end_of_word_suffix"] = "</w>";
    CHECK(problem(json) == "t.json: model.end_of_word_suffix is not implemented");
  }
  SECTION("the help says what is read") {
    json["model"] = {{"type", "Unigram"}, {"vocab", {{"a", -1.5}}}};
    const auto refused = Tokenizer::parse(json.dump(), "t.json");
    CHECK(refused.error().message == "t.json: model type 'Unigram' is not implemented");
    CHECK(refused.error().help ==
          "BPE tokenizers are read: byte-level ones (GPT-2, Llama 3, Qwen, ...) and SentencePiece's with "
          "byte_fallback (Llama 2, Vicuna, Mistral, Gemma, ...)");
  }
  SECTION("dropout") {
    json["model"]["dropout"] = 0.1;
    CHECK(problem(json) == "t.json: model.dropout is not implemented");
  }
  SECTION("normalizer") {
    json["normalizer"] = {{"type", "Sequence"},
                          {"normalizers", {{{"type", "NFC"}}, {{"type", "Lowercase"}}}}};
    CHECK(problem(json) == "t.json: normalizer 'Lowercase' is not implemented");
  }
  SECTION("pre-tokenizer") {
    json["pre_tokenizer"] = {{"type", "Metaspace"}};
    CHECK(problem(json) == "t.json: 'replacement' of Metaspace is not one character");
    json["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "last"}};
    CHECK(problem(json) == "t.json: Metaspace with prepend_scheme 'last' is not implemented");
  }
  SECTION("pre-tokenizer in a sequence") {
    json = split_pattern("a");
    json["pre_tokenizer"]["pretokenizers"][0] = {{"type", "Punctuation"}};
    CHECK(problem(json) == "t.json: pre_tokenizer 'Punctuation' is not implemented");
  }
  SECTION("decoder") {
    json["decoder"]["type"] = "WordPiece";
    CHECK(problem(json) == "t.json: decoder 'WordPiece' is not implemented");
  }
  SECTION("split behaviour") {
    CHECK(problem(split_pattern("a", "Random")) == "t.json: Split with behavior 'Random' is not implemented");
  }
}

TEST_CASE("patterns that PCRE2 would read differently are refused by name") {
  const auto reason = [](const std::string& regex) { return problem(split_pattern(regex)); };
  CHECK(reason("\\p{L}+|[^\\s\\p{L}]+|\\s+(?!\\S)|\\s").empty());
  CHECK(reason("\\w+") == "t.json: '\\w' in a pattern is not implemented");
  CHECK(reason("a\\h") == "t.json: '\\h' in a pattern is not implemented");
  CHECK(reason("^a") == "t.json: '^' in a pattern is not implemented");
  CHECK(reason("a$") == "t.json: '$' in a pattern is not implemented");
  CHECK(reason("a{1,3}+") == "t.json: '}+' in a pattern is not implemented");
  CHECK(reason("a{,3}b") == "t.json: '{,' in a pattern is not implemented");
  CHECK(reason("[a&&b]") == "t.json: '&& inside [...]' in a pattern is not implemented");
  CHECK(reason("[a[b]]") == "t.json: '[ inside [...]' in a pattern is not implemented");
  CHECK(reason("[\\S]") == "t.json: '\\S inside [...]' in a pattern is not implemented");
  CHECK(reason("(?<n>a)") == "t.json: '(?<' in a pattern is not implemented");
  CHECK(reason("(*UTF)a") == "t.json: '(*' in a pattern is not implemented");
  CHECK(reason("a\\") == "t.json: '\\ at the end' in a pattern is not implemented");
  CHECK(reason("(a") == "t.json: cannot read a pattern: missing closing parenthesis");
  CHECK(reason("a*") == "t.json: a pattern that matches the empty text is not implemented");
}

TEST_CASE("a pattern that would take for ever is given up") {
  const auto tokenizer =
      cornstarch::value_or_throw(Tokenizer::parse(split_pattern("(?:a+a+)+[bc]").dump(), "t.json"));
  const auto ids = tokenizer.encode(std::string(5000, 'a'));
  REQUIRE_FALSE(ids);
  CHECK(ids.error().message == "cannot split the text: match limit exceeded");
}

TEST_CASE("a broken tokenizer.json") {
  CHECK(Tokenizer::load("/nowhere/t.json").error().message ==
        "cannot read '/nowhere/t.json': No such file or directory");
  CHECK(Tokenizer::load("/nowhere/t.json").error().code == ExitCode::missing_input);
  CHECK(Tokenizer::parse("{", "t.json").error().message.starts_with("t.json: not JSON at byte 2: "));
  CHECK(Tokenizer::parse(std::string(100, '['), "t.json").error().message ==
        "t.json: JSON nested deeper than 64 levels");
  CHECK(problem(nlohmann::json::array()) == "t.json: not an object");
  auto json = small();
  SECTION("merge without its token") {
    json["model"]["merges"].push_back("a c");
    CHECK(problem(json) == "t.json: the merge of 'a' and 'c' has no token");
  }
  SECTION("merge of three") {
    json["model"]["merges"].push_back("a b c");
    CHECK(problem(json) == "t.json: merge 4 is not two tokens");
  }
  SECTION("id") {
    json["model"]["vocab"]["ab"] = -1;
    CHECK(problem(json) == "t.json: the id of token 'ab' is outside 0..16777216");
    json["model"]["vocab"]["ab"] = 18446744073709551615ULL;
    CHECK(problem(json) == "t.json: the id of token 'ab' is outside 0..16777216");
    json["model"]["vocab"]["ab"] = "1";
    CHECK(problem(json) == "t.json: the id of token 'ab' is a string");
  }
  SECTION("added token with two ids") {
    json["added_tokens"] = {{{"id", 400}, {"content", "ab"}}};
    CHECK(problem(json) == "t.json: token 'ab' has id 256 in the model and 400 in added_tokens");
  }
  SECTION("an id far beyond all others") {
    json["added_tokens"] = {{{"id", 16777217}, {"content", "<x>"}}};
    CHECK(problem(json) == "t.json: the id of token '<x>' is outside 0..16777216");
  }
  SECTION("merges before the vocabulary, and no type") {
    const std::string text = R"({"model": {"merges": [["a", "b"]], "vocab": {"a": 0, "b": 1, "ab": 2}}})";
    CHECK(*cornstarch::value_or_throw(Tokenizer::parse(text, "t.json")).encode("aab") == Ids{0, 2});
  }
  SECTION("more than one value") {
    CHECK(Tokenizer::parse(json.dump() + "]", "t.json")
              .error()
              .message.starts_with("t.json: not JSON at byte "));
  }
  SECTION("a part that is not JSON") {
    std::string text = json.dump();
    text.replace(text.find("\"ab\":256"), 8, "\"ab\" 256");
    CHECK(Tokenizer::parse(text, "t.json").error().message.starts_with("t.json: not JSON at byte "));
  }
  SECTION("no vocabulary") {
    json["model"].erase("vocab");
    CHECK(problem(json) == "t.json: model.vocab is not an object");
  }
}

// For tests/golden/check_tokenizers.py: encodes the lines of a folder with its tokenizer.
TEST_CASE("lines are encoded for a comparison at real sizes", "[.][encode-lines]") {
  const char* given = std::getenv("CORNSTARCH_ENCODE_DIR");
  REQUIRE(given != nullptr);
  const std::filesystem::path folder = given;
  const auto tokenizer = cornstarch::value_or_throw(Tokenizer::load(folder / "tokenizer.json"));
  std::ifstream lines(folder / "lines");
  std::ofstream encoded(folder / "encoded");
  for (std::string line; std::getline(lines, line);) {
    const auto text = nlohmann::json::parse(line).get<std::string>();
    const auto ids = cornstarch::value_or_throw(tokenizer.encode(text));
    const Ids tail(ids.begin() + static_cast<std::ptrdiff_t>(ids.size() / 2), ids.end());
    encoded << nlohmann::json{{"ids", ids},
                              {"text", tokenizer.decode(ids)},
                              {"tail", tokenizer.decode(tail, true)}}
            << "\n";
  }
}
