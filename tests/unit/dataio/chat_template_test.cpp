#include "cornstarch/dataio/chat_template.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "catch.h"
#include "chat_golden.h"
#include "conversation.h"
#include "cornstarch/templates/template.h"
#include "golden.h"
#include "named_templates.h"

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

Tokenizer tokenizer_of(const std::string& name) {
  return cornstarch::value_or_throw(Tokenizer::load(golden::path("tokenizer_" + name + ".json")));
}

ChatTemplate chat(const std::string& name, const Tokenizer& tokenizer,
                  const std::vector<MediaSource>& media = kImage) {
  return cornstarch::value_or_throw(ChatTemplate::open(name, {}, tokenizer, media));
}

std::string problem(const std::string& name, const std::vector<Turn>& turns) {
  const Tokenizer tokenizer = tokenizer_of("llama2");
  const auto row = chat(name, tokenizer).row(turns, tokenizer, kItems);
  return row ? "" : row.error().message;
}

/// Why a template cannot be opened with a tokenizer.
std::string refusal(const std::string& name, const std::string& tokenizer) {
  const auto opened = ChatTemplate::open(name, {}, tokenizer_of(tokenizer), kImage);
  return opened ? "" : opened.error().message;
}

/// A folder with a tokenizer that has everybody's tokens, and a chat template.
struct Checkpoint {
  explicit Checkpoint(const std::string& source, const std::string& as = "chat_template.jinja") {
    std::filesystem::copy_file(golden::path("tokenizer_chat.json"), folder.path() / "tokenizer.json");
    folder.write(as, source);
  }
  Tokenizer tokenizer() const {
    return cornstarch::value_or_throw(
        Tokenizer::load(folder.path(), {"<|begin_of_text|>", "<|end_of_text|>", {}}));
  }
  cornstarch::Result<ChatTemplate> open(const std::vector<MediaSource>& media = kImage) const {
    return ChatTemplate::open("checkpoint", folder.path(), tokenizer(), media);
  }
  std::string problem() const {
    const auto opened = open();
    return opened ? "" : without_folder(opened.error().message);
  }
  std::string without_folder(std::string text) const {
    const std::string name = folder.path().string();
    for (auto at = text.find(name); at != std::string::npos; at = text.find(name))
      text.replace(at, name.size(), "DIR");
    return text;
  }

  golden::Folder folder;
};

/// What is learnt of a row, and the whole of it; features are "@".
std::string learnt(const TextRow& row, const Tokenizer& tokenizer) {
  Ids ids;
  for (const std::int64_t label : row.labels)
    if (label != kIgnoreLabel) ids.push_back(label);
  return tokenizer.decode(ids);
}
std::string shown(const TextRow& row, const Tokenizer& tokenizer) {
  std::string out;
  Ids ids;
  for (std::size_t i = 0; i <= row.ids.size(); ++i) {
    if (i < row.ids.size() && row.ids[i] >= 0) {
      ids.push_back(row.ids[i]);
      continue;
    }
    out += tokenizer.decode(std::exchange(ids, {}));
    if (i < row.ids.size()) out += "@";
  }
  return out;
}

}  // namespace

TEST_CASE("rows are those of Hugging Face's chat templates, and only answers are learnt") {
  const auto cases = golden::json("chat.json");
  REQUIRE(cases.size() >= 50);
  for (const auto& made : cases) {
    const Tokenizer tokenizer = load(made);
    const auto turns = turns_of(made["messages"]);
    CAPTURE(made["template"], made["tokenizer"], made["text"]);
    const ChatTemplate frame = chat(made["template"].get<std::string>(), tokenizer);
    const bool asks = made["asks"].get<bool>();
    const auto row = asks ? frame.prompt(turns, tokenizer, kItems) : frame.row(turns, tokenizer, kItems);
    REQUIRE(row);
    Ids ids, labels;
    for (std::size_t i = 0; i < made["ids"].size(); ++i) {
      const auto id = made["ids"][i].get<std::int64_t>();
      if (id == made["image"].get<std::int64_t>()) {
        ids.insert(ids.end(), 2, placeholder_id(0));
        labels.insert(labels.end(), 2, kIgnoreLabel);
      } else {
        ids.push_back(id);
        labels.push_back(!asks && made["learnt"][i].get<int>() != 0 ? id : kIgnoreLabel);
      }
    }
    CHECK(row->ids == ids);
    CHECK(row->labels == labels);
    CHECK(row->length == std::ssize(ids));
  }
}

TEST_CASE("plain: each turn by itself, a newline where nothing else ends it") {
  const Tokenizer tokenizer = tokenizer_of("gpt2");
  const std::vector<Turn> turns = {
      {Role::system, "Hello"}, {Role::user, "a<image>b"}, {Role::assistant, "seven"}};
  const auto row = cornstarch::value_or_throw(chat("plain", tokenizer).row(turns, tokenizer, kItems));
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
  const Tokenizer tokenizer = tokenizer_of("gpt2");
  std::vector<MediaSource> media = kImage;
  media.push_back({"<sound>", MediaKind::audio, [](const auto& item) { return item.w / 3; }, {8, 9}, ""});
  const std::vector<Turn> turns = {{Role::user, "<image>a<sound><image>"}, {Role::assistant, "<image>b"}};
  const SampleExtents items = {{{1, 2, 3}, {1, 1, 1}, {2, 1, 1}}, {{1, 1, 9}}};
  const auto row = cornstarch::value_or_throw(chat("plain", tokenizer, media).row(turns, tokenizer, items));
  Ids placeholders;
  for (const auto id : row.ids)
    if (id < 0) placeholders.push_back(id);
  CHECK(placeholders == Ids{-1, -1, -1, -1, -1, -1, -2, -2, -2, -1, -1, -1});
}

TEST_CASE("turns that a template does not take") {
  const Turn user{Role::user, "a"}, answer{Role::assistant, "b"}, system{Role::system, "c"};
  CHECK(problem("llama2", {system, user, answer, user, answer}).empty());
  CHECK(problem("plain", {user, user, system, answer, answer}).empty());
  CHECK(
      problem("vicuna", {user, user}) ==
      "the chat template 'vicuna' refuses it: turn 2 is the user's, but user and assistant must take turns");
  CHECK(problem("llama2", {answer, user}) ==
        "the chat template 'llama2' refuses it: turn 1 is the assistant's, but user and assistant must take "
        "turns");
  CHECK(problem("mistral", {system, user, system}) ==
        "the chat template 'mistral' refuses it: turn 3 is the system's, but user and assistant must take "
        "turns");
}

TEST_CASE("the tokens that a template needs") {
  CHECK(refusal("plain", "gpt2").empty());
  CHECK(refusal("vicuna", "gpt2").empty());
  const std::string lacks = ", which the tokenizer does not have";
  CHECK(refusal("llama2", "gpt2") == "the chat template 'llama2' needs a begin token" + lacks);
  CHECK(refusal("chatml", "gpt2") == "the chat template 'chatml' needs '<|im_start|>', '<|im_end|>'" + lacks);
  CHECK(refusal("llama3", "gpt2") ==
        "the chat template 'llama3' needs '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>', a begin "
        "token" +
            lacks);
  CHECK(refusal("gemma", "llama2") ==
        "the chat template 'gemma' needs '<start_of_turn>', '<end_of_turn>'" + lacks);
  CHECK(refusal("Llama3", "gpt2") ==
        "no chat template 'Llama3'; there are: plain, vicuna, llama2, llama3, mistral, chatml, qwen2_vl, "
        "gemma, "
        "checkpoint");
}

TEST_CASE("templates of ours are those that were published under their names") {
  const chat_golden::Conversations conversations;
  REQUIRE(conversations.size() >= 500);
  const auto takes_turns = [](const auto& turns) {
    std::size_t i = turns[0].first == "system" ? 1 : 0;
    for (std::size_t n = 0; i < turns.size(); ++i, ++n)
      if (turns[i].first != (n % 2 == 0 ? "user" : "assistant")) return false;
    return true;
  };
  for (const auto& [name, published, form] :
       std::vector<std::array<std::string, 3>>{{"llama2", "llama2", "texts"},
                                               {"llama3", "llama3", "texts"},
                                               {"mistral", "mistral-v0.2", "texts"},
                                               {"chatml", "chatml", "texts"},
                                               {"qwen2_vl", "qwen2-vl", "texts"},
                                               {"qwen2_vl", "qwen2-vl", "parts"},
                                               {"gemma", "gemma3", "texts"},
                                               {"gemma", "gemma3", "parts"}}) {
    const auto& all = named_templates();
    const auto named =
        std::find_if(all.begin(), all.end(), [&, &n = name](const auto& t) { return t.name == n; });
    const auto text = cornstarch::templates::Template::parse(named->source, name);
    REQUIRE(text);
    const auto expected = conversations.results(published, form);
    int same = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto turns = conversations.turns(i);
      const auto made = text->render(conversations.variables(i, form == "parts"));
      CAPTURE(name, form, i, made ? made->text : made.error().message);
      const bool in_turns = takes_turns(turns) || name == "llama3" || name == "chatml" || name == "qwen2_vl";
      CHECK(made.has_value() == in_turns);
      if (!made || expected[i][0] == '!') continue;  // Mistral's refuses what systems say
      CHECK(chat_golden::fnv(made->text) == expected[i]);
      ++same;
    }
    CHECK(same > (name == "mistral" ? 250 : 400));
  }
}

TEST_CASE("answers are found without marks where the template's ours are marked") {
  const chat_golden::Conversations conversations;
  for (const auto& [name, published] : std::map<std::string, std::string>{
           {"chatml", "chatml"}, {"llama3", "llama3"}, {"llama2", "llama2"}, {"mistral", "mistral-v0.2"}}) {
    const Checkpoint checkpoint(chat_golden::text_of("published/" + published + ".jinja"));
    const Tokenizer tokenizer = checkpoint.tokenizer();
    const ChatTemplate found = cornstarch::value_or_throw(checkpoint.open());
    const ChatTemplate marked = chat(name, tokenizer);
    CHECK(found.end_of_answer(tokenizer) == marked.end_of_answer(tokenizer));
    int same = 0;
    for (std::size_t i = 0; i < 200; ++i) {
      std::vector<Turn> turns;
      for (const auto& [role, text] : conversations.turns(i))
        turns.push_back({role == "system" ? Role::system
                         : role == "user" ? Role::user
                                          : Role::assistant,
                         text});
      if (turns.front().role == Role::assistant) continue;
      const auto row = found.row(turns, tokenizer, kItems), wanted = marked.row(turns, tokenizer, kItems);
      if (!row || !wanted) continue;
      CAPTURE(name, i, learnt(*row, tokenizer), learnt(*wanted, tokenizer));
      CHECK(row->ids == wanted->ids);
      CHECK(row->labels == wanted->labels);
      ++same;
    }
    CHECK(same > 90);
  }
}

TEST_CASE("which tokens are learnt") {
  const Tokenizer tokenizer = Checkpoint("x").tokenizer();
  const std::vector<Turn> turns = {
      {Role::user, "a<image>"}, {Role::assistant, "one"}, {Role::user, "b"}, {Role::assistant, "two"}};
  const auto of = [&](const ChatTemplate& chat, cornstarch::config::TrainOn train_on) {
    return learnt(cornstarch::value_or_throw(chat.row(turns, tokenizer, kItems, train_on)), tokenizer);
  };
  using cornstarch::config::TrainOn;
  const Checkpoint unmarked(chat_golden::text_of("published/chatml.jinja"));
  for (const ChatTemplate& each : {chat("chatml", tokenizer), cornstarch::value_or_throw(unmarked.open())}) {
    CHECK(of(each, TrainOn::answers) == "one<|im_end|>two<|im_end|>");
    CHECK(of(each, TrainOn::last_answer) == "two<|im_end|>");
    CHECK(
        of(each, TrainOn::all) ==
        "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\none<|im_end|>\n<|im_start|>user\nb<|im_end|>\n"
        "<|im_start|>assistant\ntwo<|im_end|>\n");
  }
  std::vector<Turn> leading = turns;
  leading[1].learnt = false;
  for (const ChatTemplate& each :
       {chat("chatml", tokenizer), chat("plain", tokenizer), cornstarch::value_or_throw(unmarked.open())}) {
    const auto row = cornstarch::value_or_throw(each.row(leading, tokenizer, kItems));
    CHECK(learnt(row, tokenizer).starts_with("two<|"));
  }
  const ChatTemplate plain = chat("plain", tokenizer);
  CHECK(of(plain, TrainOn::answers) == "one<|end_of_text|>two<|end_of_text|>");
  CHECK(of(plain, TrainOn::last_answer) == "two<|end_of_text|>");
  CHECK(of(plain, TrainOn::all) == "<|begin_of_text|>a\none<|end_of_text|>b\ntwo<|end_of_text|>");
}

TEST_CASE("what cannot be told apart is refused") {
  using cornstarch::config::TrainOn;
  const Checkpoint checkpoint(chat_golden::text_of("published/qwen3.jinja"));
  const Tokenizer tokenizer = checkpoint.tokenizer();
  const ChatTemplate qwen3 = cornstarch::value_or_throw(checkpoint.open());
  const std::vector<Turn> turns = {{Role::user, "a"},
                                   {Role::assistant, "<think>\nwell\n</think>\n\none"},
                                   {Role::user, "b"},
                                   {Role::assistant, "two"}};
  const auto row = qwen3.row(turns, tokenizer, {});
  REQUIRE(!row);
  CHECK(row.error().message ==
        "where the answer in turn 2 begins cannot be told: the chat template writes the conversation "
        "otherwise up to "
        "there");
  CHECK(row.error().help ==
        "mark answers in the template with {% generation %} and {% endgeneration %}, or learn the "
        "last one only (data.train_on: last_answer)");
  const auto last = qwen3.row(turns, tokenizer, {}, TrainOn::last_answer);
  CHECK(learnt(cornstarch::value_or_throw(last), tokenizer) == "</think>\n\ntwo<|im_end|>");
  const Checkpoint shortens(
      "{% for m in messages %}[{{ m.role }}]{{ m.content if loop.last else m.content[:1] }}{% endfor %}"
      "{{ '[assistant]' if add_generation_prompt }}");
  CHECK(cornstarch::value_or_throw(shortens.open()).row(turns, tokenizer, {}).error().message ==
        "where the answer in turn 2 ends cannot be told: the chat template writes the conversation otherwise "
        "up to "
        "there");
  const Checkpoint twice(
      "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}");
  const auto marked =
      cornstarch::value_or_throw(twice.open()).row(turns, tokenizer, {}, TrainOn::last_answer);
  CHECK(marked.error().message ==
        "which answer is which cannot be told: the chat template marks 4 stretches as answers, "
        "the conversation has 2");
  const Checkpoint never(
      "{% for m in messages %}{% if m.role == 'model' %}{% generation %}{{ m.content }}{% endgeneration %}"
      "{% else %}{{ m.content }}{% endif %}{% endfor %}");
  CHECK(cornstarch::value_or_throw(never.open()).row(turns, tokenizer, {}).error().message ==
        "the chat template marks no stretch as an answer, though the conversation has 2");
}

TEST_CASE("a conversation of very many turns is refused where each answer would have to be found") {
  const Checkpoint checkpoint("{% for m in messages %}{{ m.content }}{% endfor %}");
  const Tokenizer tokenizer = checkpoint.tokenizer();
  const ChatTemplate chat = cornstarch::value_or_throw(checkpoint.open());
  std::vector<Turn> turns;
  for (int i = 0; i < 1002; ++i) turns.push_back({i % 2 == 0 ? Role::user : Role::assistant, "a"});
  const auto row = chat.row(turns, tokenizer, {});
  REQUIRE(!row);
  CHECK(row.error().message ==
        "the conversation has 1002 turns: too many to find 501 answers in what the chat template writes");
  CHECK(row.error().help.starts_with("mark answers in the template"));
  CHECK(chat.row(turns, tokenizer, {}, cornstarch::config::TrainOn::last_answer));
  turns.resize(200);
  CHECK(chat.row(turns, tokenizer, {}));
}

TEST_CASE("items stand where templates write their marks") {
  std::vector<Turn> turns = {{Role::user, "<image>\nx <image>"}, {Role::assistant, "y"}};
  const auto of = [&](const std::string& name, const std::vector<MediaSource>& media = kImage) {
    const Checkpoint checkpoint(chat_golden::text_of("published/" + name + ".jinja"));
    const Tokenizer tokenizer = checkpoint.tokenizer();
    const auto row = cornstarch::value_or_throw(checkpoint.open(media)).row(turns, tokenizer, kItems);
    return row ? shown(*row, tokenizer) : "! " + row.error().message;
  };
  CHECK(of("chatml") == "<|im_start|>user\n@@\nx @@<|im_end|>\n<|im_start|>assistant\ny<|im_end|>\n");
  CHECK(of("qwen2-vl") ==
        "<|im_start|>system\nYou are a helpful "
        "assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>@@<|vision_end|>"
        "\nx <|vision_start|>@@<|vision_end|><|im_end|>\n<|im_start|>assistant\ny<|im_end|>\n");
  CHECK(
      of("gemma3") ==
      "<|begin_of_text|><start_of_turn>user\n\n\n<start_of_image>@@<end_of_image>\n\nx\n\n<start_of_image>@@"
      "<end_of_image>\n\n<end_of_turn>\n<start_of_turn>model\ny<end_of_turn>\n");
  turns[0].text = std::string(kPartMarks[0]) + "\nx " + std::string(kPartMarks[0]);
  CHECK(of("chatml") == "<|im_start|>user\n@@\nx @@<|im_end|>\n<|im_start|>assistant\ny<|im_end|>\n");
  CHECK(of("llava1.5") == "USER: @@\n@@\nx  ASSISTANT: y ");
  turns[0].text = std::string(kPartMarks[0]) + "x";
  CHECK(of("llava1.5") == "USER: @@\nx ASSISTANT: y ");
  turns[0].text = "<image>\nx <image>";
  CHECK(of("llava1.5") == "USER: @@\n@@\nx  ASSISTANT: y ");
  std::vector<MediaSource> own = kImage;
  own[0].placeholder = "<|image_pad|>";  // with Qwen2-VL's tokens around it in the text
  const std::vector<Turn> spelled = {{Role::user, "<|vision_start|><|image_pad|><|vision_end|>x"}};
  const Checkpoint qwen(chat_golden::text_of("published/qwen2-vl.jinja"));
  const Tokenizer tokenizer = qwen.tokenizer();
  const auto row = cornstarch::value_or_throw(qwen.open(own)).row(spelled, tokenizer, kItems);
  CHECK(shown(cornstarch::value_or_throw(row), tokenizer).find("user\n<|vision_start|>@@<|vision_end|>x") !=
        std::string::npos);
}

TEST_CASE("turns without items are texts to a template that takes both") {
  const Checkpoint checkpoint(
      "{% for m in messages %}{% if m.role == 'assistant' %}{{- m['content'] + eos_token }}"
      "{% elif m.content is string %}{{ m.content }};{% else %}{% for part in m.content %}"
      "{{ '<|image_pad|>' if part.type == 'image' else part.text + '!' }}{% endfor %}{% endif %}{% endfor "
      "%}");
  const Tokenizer tokenizer = checkpoint.tokenizer();
  const std::vector<Turn> turns = {
      {Role::user, "<image>a"}, {Role::assistant, "one"}, {Role::user, "b"}, {Role::assistant, "two"}};
  const auto row = cornstarch::value_or_throw(checkpoint.open()).row(turns, tokenizer, kItems);
  CAPTURE(row ? "" : row.error().message);
  REQUIRE(row);
  CHECK(shown(*row, tokenizer) == "@@a!one<|end_of_text|>b;two<|end_of_text|>");
  CHECK(learnt(*row, tokenizer) == "one<|end_of_text|>two<|end_of_text|>");
}

TEST_CASE("a template that writes more or fewer items than there are") {
  const auto of = [&](const std::string& source, const std::string& text) {
    const Checkpoint checkpoint(source);
    const Tokenizer tokenizer = checkpoint.tokenizer();
    const std::vector<Turn> turns = {{Role::user, text}};
    const auto row = cornstarch::value_or_throw(checkpoint.open()).row(turns, tokenizer, kItems);
    return row ? shown(*row, tokenizer) : row.error().message;
  };
  const std::string qwen = chat_golden::text_of("published/qwen2-vl.jinja");
  CHECK(of(qwen, "<image><|image_pad|>") ==
        "the chat template writes '<|image_pad|>', where an item's features go, more often than the "
        "conversation has "
        "items");
  CHECK(of("{{ messages[0].content.replace('<image>', '', 1) }}", "a<image>b<image>") ==
        "the chat template writes '<image>', where an item's features go, less often than the conversation "
        "has items");
}

TEST_CASE("where a checkpoint's own template stands") {
  CHECK(Checkpoint("{}", "tokenizer_config.json").problem() ==
        "'DIR' has no chat template: no chat_template.jinja, and no chat_template in chat_template.json or "
        "tokenizer_config.json");
  CHECK(Checkpoint("[]", "chat_template.json").problem() ==
        "'DIR/chat_template.json': it is a list, not an object");
  CHECK(Checkpoint(R"({"chat_template": [{"name": "rag", "template": "x"}]})", "tokenizer_config.json")
            .problem() ==
        "'DIR/tokenizer_config.json': chat_template should be a text, or a list with one named 'default'; it "
        "is only "
        "'rag'");
  CHECK(Checkpoint("a\n{{ messages | pprint }}").problem() ==
        "DIR/chat_template.jinja:2:13: the filter 'pprint' is not supported");
  CHECK(Checkpoint(R"({"chat_template": "{% include 'x' %}"})", "chat_template.json").problem() ==
        "DIR/chat_template.json: chat_template:1:4: the tag 'include' is not supported");
  CHECK(Checkpoint("nothing").problem() ==
        "DIR/chat_template.jinja: the template leaves out what a user says");
  Checkpoint both(
      R"({"chat_template": [{"name": "default", "template": "{{ messages[0].content + image_token }}"}],
                      "image_token": {"content": "<image>"}})",
      "tokenizer_config.json");
  const auto of = [&] {
    const Tokenizer tokenizer = both.tokenizer();
    const std::vector<Turn> turns = {{Role::user, "x"}};
    return shown(
        cornstarch::value_or_throw(cornstarch::value_or_throw(both.open({})).row(turns, tokenizer, kItems)),
        tokenizer);
  };
  CHECK(of() == "x<image>");
  both.folder.write("chat_template.json", R"({"chat_template": "{{ messages[0].content }}y"})");
  CHECK(of() == "xy");
  both.folder.write("chat_template.jinja", "{{ messages[0].content }}z\n");
  CHECK(of() == "xz");
}
