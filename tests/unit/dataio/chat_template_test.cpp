#include "chat_template.h"

#include "catch.h"
#include "golden.h"

using namespace cornstarch::dataio;
using Ids = std::vector<std::int64_t>;

namespace {

const std::vector<MediaSource> kImage = {
    {"<image>", MediaKind::image, [](const auto& item) { return item.places(); }, {3, 2, 2}, ""}};

/// More than any sample has, of two rows each.
const SampleExtents kItems = {std::vector<cornstarch::catalog::Extents>(9, {1, 1, 2})};

std::vector<Turn> turns_of(const nlohmann::json& messages) {
  std::vector<Turn> turns;
  for (const auto& message : messages) {
    const auto role = message["role"].get<std::string>();
    turns.push_back({role == "system"      ? Role::system
                     : role == "assistant" ? Role::assistant
                                           : Role::user,
                     message["content"].get<std::string>()});
  }
  return turns;
}

Tokenizer load(const nlohmann::json& made) {
  const TokenTexts special{made["begin"].get<std::string>(), made["end"].get<std::string>(), {}};
  const auto path = golden::path("tokenizer_" + made["tokenizer"].get<std::string>() + ".json");
  return cornstarch::value_or_throw(Tokenizer::load(path, special));
}

const ChatTemplate& chat(const std::string& name) {
  const ChatTemplate* found = find_chat_template(name);
  REQUIRE(found != nullptr);
  return *found;
}

std::string problem(const std::string& name, const std::vector<Turn>& turns) {
  const Tokenizer tokenizer =
      cornstarch::value_or_throw(Tokenizer::load(golden::path("tokenizer_llama2.json")));
  const auto row = make_row(chat(name), turns, tokenizer, {}, {});
  return row ? "" : row.error().message;
}

}  // namespace

TEST_CASE("rows are those of Hugging Face's chat templates, and only answers are learnt") {
  const auto cases = golden::json("chat.json");
  REQUIRE(cases.size() >= 50);
  for (const auto& made : cases) {
    const Tokenizer tokenizer = load(made);
    const auto turns = turns_of(made["messages"]);
    const ChatTemplate& frame = chat(made["template"].get<std::string>());
    CAPTURE(made["template"], made["tokenizer"], made["text"]);
    REQUIRE(missing_tokens(frame, tokenizer).empty());
    const auto row = made["asks"].get<bool>() ? make_prompt(frame, turns, tokenizer, kImage, kItems)
                                              : make_row(frame, turns, tokenizer, kImage, kItems);
    REQUIRE(row);
    Ids ids, labels;
    for (std::size_t i = 0; i < made["ids"].size(); ++i) {
      const auto id = made["ids"][i].get<std::int64_t>();
      if (id == made["image"].get<std::int64_t>()) {
        ids.insert(ids.end(), 2, placeholder_id(0));
        labels.insert(labels.end(), 2, kIgnoreLabel);
      } else {
        ids.push_back(id);
        labels.push_back(made["learnt"][i].get<int>() != 0 ? id : kIgnoreLabel);
      }
    }
    CHECK(row->ids == ids);
    CHECK(row->labels == labels);
    CHECK(row->length == std::ssize(ids));
  }
}

TEST_CASE("plain: each turn by itself, a newline where nothing else ends it") {
  const Tokenizer tokenizer =
      cornstarch::value_or_throw(Tokenizer::load(golden::path("tokenizer_gpt2.json")));
  const std::vector<Turn> turns = {
      {Role::system, "Hello"}, {Role::user, "a<image>b"}, {Role::assistant, "seven"}};
  const auto row = cornstarch::value_or_throw(make_row(chat("plain"), turns, tokenizer, kImage, kItems));
  Ids ids = *tokenizer.encode("Hello\n"), labels;
  for (const std::string text : {"a", "b\n"}) {
    const Ids more = *tokenizer.encode(text);
    ids.insert(ids.end(), more.begin(), more.end());
    if (text == "a") ids.insert(ids.end(), 2, placeholder_id(0));
  }
  labels.assign(ids.size(), kIgnoreLabel);
  Ids answer = *tokenizer.encode("seven");
  answer.push_back(*tokenizer.end_id());
  ids.insert(ids.end(), answer.begin(), answer.end());
  labels.insert(labels.end(), answer.begin(), answer.end());
  CHECK(row.ids == ids);
  CHECK(row.labels == labels);
}

TEST_CASE("a placeholder takes as many tokens as its item has features") {
  const Tokenizer tokenizer =
      cornstarch::value_or_throw(Tokenizer::load(golden::path("tokenizer_gpt2.json")));
  std::vector<MediaSource> media = kImage;
  media.push_back({"<sound>", MediaKind::audio, [](const auto& item) { return item.w / 3; }, {8, 9}, ""});
  const std::vector<Turn> turns = {{Role::user, "<image>a<sound><image>"}, {Role::assistant, "<image>b"}};
  const SampleExtents items = {{{1, 2, 3}, {1, 1, 1}, {2, 1, 1}}, {{1, 1, 9}}};
  const auto row = cornstarch::value_or_throw(make_row(chat("plain"), turns, tokenizer, media, items));
  Ids placeholders;
  for (const auto id : row.ids)
    if (id < 0) placeholders.push_back(id);
  CHECK(placeholders == Ids{-1, -1, -1, -1, -1, -1, -2, -2, -2, -1, -1, -1});
}

TEST_CASE("turns that a template does not take") {
  const Turn user{Role::user, "a"}, answer{Role::assistant, "b"}, system{Role::system, "c"};
  CHECK(problem("llama2", {system, user, answer, user, answer}).empty());
  CHECK(problem("plain", {user, user, system, answer, answer}).empty());
  CHECK(problem("vicuna", {user, user}) ==
        "turn 2 is the user's, but the chat template 'vicuna' wants user and assistant to take turns");
  CHECK(problem("llama2", {answer, user}) ==
        "turn 1 is the assistant's, but the chat template 'llama2' wants user and assistant to take turns");
  CHECK(problem("llama2", {user, system}) ==
        "turn 2 is the system's, but the chat template 'llama2' wants user and assistant to take turns");
}

TEST_CASE("the tokens that a template needs") {
  const Tokenizer bare = cornstarch::value_or_throw(Tokenizer::load(golden::path("tokenizer_gpt2.json")));
  CHECK(missing_tokens(chat("plain"), bare).empty());
  CHECK(missing_tokens(chat("vicuna"), bare).empty());
  CHECK(missing_tokens(chat("llama2"), bare) == std::vector<std::string>{"a begin token"});
  CHECK(missing_tokens(chat("chatml"), bare) == std::vector<std::string>{"'<|im_start|>'", "'<|im_end|>'"});
  CHECK(missing_tokens(chat("llama3"), bare) == std::vector<std::string>{"'<|start_header_id|>'",
                                                                         "'<|end_header_id|>'",
                                                                         "'<|eot_id|>'", "a begin token"});
  CHECK(find_chat_template("Llama3") == nullptr);
  CHECK(chat_templates() == std::vector<std::string>{"plain", "vicuna", "llama2", "llama3", "chatml"});
}
