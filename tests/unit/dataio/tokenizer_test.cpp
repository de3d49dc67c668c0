#include "cornstarch/dataio/tokenizer.h"

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
  const auto name = GENERATE(as<std::string>(), "gpt2", "llama3", "qwen2", "digits", "removed");
  const Tokenizer tokenizer = load(name);
  const auto cases = golden::json("tokenizer_" + name + "_cases.json");
  REQUIRE(cases["strings"].size() > 300);
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

TEST_CASE("a long run of one letter takes no more than a moment") {
  const Tokenizer tokenizer = load("gpt2");
  const std::string text(200'000, 'a');
  const auto ids = tokenizer.encode(text);
  REQUIRE(ids);
  CHECK(tokenizer.decode(*ids) == text);
  CHECK(ids->size() < text.size() / 2);
  const auto spaces = tokenizer.encode(std::string(200'000, ' '));
  REQUIRE(spaces);
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
  CHECK(without_z.encode("az").error().message == "the tokenizer's vocabulary has no token for byte 0x7A");
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
  SECTION("byte fallback") {
    json["model"]["byte_fallback"] = true;
    CHECK(problem(json) == "t.json: model.byte_fallback is not implemented");
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
    CHECK(problem(json) == "t.json: a pre_tokenizer that does not end with 'ByteLevel' is not implemented");
  }
  SECTION("pre-tokenizer in a sequence") {
    json = split_pattern("a");
    json["pre_tokenizer"]["pretokenizers"][0] = {{"type", "Punctuation"}};
    CHECK(problem(json) == "t.json: pre_tokenizer 'Punctuation' is not implemented");
  }
  SECTION("no pre-tokenizer") {
    json["pre_tokenizer"] = nullptr;
    CHECK(problem(json) == "t.json: a tokenizer without pre_tokenizer 'ByteLevel' is not implemented");
  }
  SECTION("decoder") {
    json["decoder"]["type"] = "WordPiece";
    CHECK(problem(json) == "t.json: decoder 'WordPiece' is not implemented");
  }
  SECTION("split behaviour") {
    CHECK(problem(split_pattern("a", "MergedWithNext")) ==
          "t.json: Split with behavior 'MergedWithNext' is not implemented");
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
    CHECK(problem(json) == "t.json: a merge is not two tokens: \"a b c\"");
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
  SECTION("no vocabulary") {
    json["model"].erase("vocab");
    CHECK(problem(json) == "t.json: model.vocab is not an object");
  }
}
