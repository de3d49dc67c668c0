#include "cornstarch/templates/template.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "catch.h"
#include "chat_golden.h"
#include "cornstarch/base/text.h"

using cornstarch::cat;
using namespace cornstarch::templates;

namespace {

/// In the order of the file, as Python's dicts.
Value value_of(const nlohmann::ordered_json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_null()) return {};
  if (json.is_array()) {
    std::vector<Value> items;
    for (const auto& item : json) items.push_back(value_of(item));
    return Value::list(std::move(items));
  }
  std::vector<Named> items;
  for (const auto& [key, item] : json.items()) items.emplace_back(key, value_of(item));
  return Value::dict(std::move(items));
}

/// What becomes of a template, or "! " and the message.
std::string rendered(const std::string& source, const std::vector<Named>& variables = {}) {
  const auto chat = Template::parse(source, "t");
  if (!chat) return "! " + chat.error().message;
  const auto out = chat->render(variables);
  return out ? out->text : "! " + out.error().message;
}

}  // namespace

TEST_CASE("every snippet gives what Jinja gives, and what Jinja refuses is refused") {
  const auto content = chat_golden::Json::parse(chat_golden::text_of("language.json"));
  std::vector<Named> variables;
  for (const auto& [name, value] : content["variables"].items())
    variables.emplace_back(name, value_of(value));
  REQUIRE(content["cases"].size() >= 119);
  for (const auto& each : content["cases"]) {
    const auto source = each["template"].get<std::string>();
    CAPTURE(source);
    const std::string made = rendered(source, variables);
    if (each.contains("text")) {
      CHECK(made == each["text"].get<std::string>());
    } else {
      CAPTURE(each["error"].get<std::string>());
      CHECK((made.starts_with("! t:1:") || made == "! t refuses it: so it is"));
    }
  }
}

TEST_CASE("published templates make of conversations what transformers makes") {
  const chat_golden::Conversations conversations;
  REQUIRE(conversations.size() >= 500);
  REQUIRE(conversations.templates().size() >= 25);
  for (const auto& [name, forms] : conversations.templates().items()) {
    const auto chat = Template::parse(chat_golden::text_of("published/" + name + ".jinja"), name);
    CAPTURE(name);
    REQUIRE(chat);
    for (const auto& [form, unused] : forms.items()) {
      const auto expected = conversations.results(name, form);
      REQUIRE(expected.size() == conversations.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const auto made = chat->render(conversations.variables(i, form == "parts"));
        CAPTURE(i, made ? made->text : made.error().message);
        REQUIRE(made.has_value() == (expected[i][0] != '!'));
        if (made)
          CHECK(chat_golden::fnv(made->text) == expected[i]);
        else
          CHECK(
              (expected[i] == "!" || made.error().message == name + " refuses it: " + expected[i].substr(1)));
      }
    }
  }
}

TEST_CASE("what stands between generation tags is marked, not in macros and blocks") {
  const auto chat = Template::parse(
      "{% macro m() %}m{% endmacro %}{% for t in 'ab' %}<"
      "{% generation %}{{ t }}!{% endgeneration %}>{% endfor %}{{ m() }}{% generation %}{% endgeneration %}",
      "t");
  REQUIRE(chat);
  CHECK(chat->marks_answers());
  const auto made = chat->render({});
  REQUIRE(made);
  CHECK(made->text == "<a!><b!>m");
  CHECK(made->answers == std::vector<std::pair<std::size_t, std::size_t>>{{1, 3}, {5, 7}, {9, 9}});
  CHECK(!Template::parse("{% if x %}y{% endif %}", "t")->marks_answers());
  const std::string lacks = "'generation' inside of a macro or a block that is set is not supported";
  CHECK(rendered("{% macro m() %}\n{% generation %}m{% endgeneration %}{% endmacro %}") ==
        "! t:2:4: " + lacks);
  CHECK(rendered("{% set a %}{% if x %}{% generation %}m{% endgeneration %}{% endif %}{% endset %}") ==
        "! t:1:25: " + lacks);
}

TEST_CASE("what is not supported is named with its line and column") {
  CHECK(rendered("a\n  {% include 'x' %}") == "! t:2:6: the tag 'include' is not supported");
  CHECK(rendered("é{% call m() %}{% endcall %}") == "! t:1:5: the tag 'call' is not supported");
  CHECK(rendered("{{ messages | groupby('role') }}") == "! t:1:13: the filter 'groupby' is not supported");
  CHECK(rendered("{{ x | map('pprint') }}") == "! t:1:12: the filter 'pprint' is not supported");
  CHECK(rendered("{{ x is callable }}") == "! t:1:6: the test 'callable' is not supported");
  CHECK(rendered("{{ x | selectattr('a', 'callable') }}") ==
        "! t:1:24: the test 'callable' is not supported");
  CHECK(rendered("{{ x | selectattr('a', 'call' + 'able') }}") ==
        "! t:1:6: the test 'callable' is not supported");
  CHECK(rendered("{{ x.encode() }}") == "! t:1:5: the method 'encode' is not supported");
  CHECK(rendered("{{ [].append(1) }}") == "! t:1:6: the method 'append' is not supported");
  CHECK(rendered("{{ {}.items }}") == "! t:1:6: the method 'items' without a call is not supported");
  CHECK(rendered("{{ cycler(1) }}") == "! t:1:4: the function 'cycler' is not supported");
  CHECK(rendered("{{ x.y(1)(2) }}") == "! t:1:5: the method 'y' is not supported");
  CHECK(rendered("{{ f(1)(2) }}") == "! t:1:8: a call of what is no name is not supported");
  CHECK(rendered("{{ f(*x) }}") == "! t:1:6: an argument list that is unpacked is not supported");
  CHECK(rendered("{% for x in y recursive %}{% endfor %}") == "! t:1:15: a recursive loop is not supported");
  CHECK(rendered(
            "{% generation %}{% if x %}{% generation %}{% endgeneration %}{% endif %}{% endgeneration %}") ==
        "! t:1:30: 'generation' inside of another is not supported");
  CHECK(rendered("{{ 'a' ~ x | safe }}") ==
        "! t:1:12: the filter 'safe' on a part of what is put out is not supported");
  CHECK(rendered("{% set a = x | safe %}") ==
        "! t:1:14: the filter 'safe' on a part of what is put out is not supported");
  CHECK(rendered("{% set a | upper %}x{% endset %}") ==
        "! t:1:10: a filter on a block that is set is not supported");
  CHECK(rendered("{{ '\\N{DASH}' }}") == "! t:1:5: the escape '\\N' is not supported");
  CHECK(rendered("{{ 'stra\xC3\x9F' | upper }}") == "! t:1:12: upper() of '\xC3\x9F' is not supported");
  CHECK(rendered("{{ strftime_now('%c') }}") == "! t:1:4: the date format '%c' is not supported");
  CHECK(rendered("{{ strftime_now('%d %b %Y') }}") == "26 Jul 2024");
  CHECK(rendered("{{ dict(b=1, a='x') }}") == "{'b': 1, 'a': 'x'}");
}

TEST_CASE("what goes once is not taken for a list") {
  CHECK(rendered("{{ 'ab' | select | length }}") == "! t:1:18: a generator has no length");
  CHECK(rendered("{{ 'ab' | select }}") == "! t:1:1: a generator cannot be written");
  CHECK(rendered("{{ ('ab' | select)[1:] }}") == "! t:1:19: a generator has no slices");
  const std::string left = "what a loop has left of a generator is not known";
  const std::string loop = "{% set u = 'abc' | select %}{% for x in u %}{{ x }}";
  CHECK(rendered(loop + "{% break %}{% endfor %}") == "a");
  CHECK(rendered(loop + "{% break %}{% endfor %}{{ u | join }}") == "! t:1:80: " + left);
  CHECK(rendered(loop + "{{ u | first }}{% endfor %}") == "! t:1:57: " + left);
}

TEST_CASE("what is wrong in a template is named with its line and column") {
  CHECK(rendered("{% if x %}\n{{ y }}") == "! t:2:8: 'endif' is missing at the end of the template");
  CHECK(rendered("{{ (1 }}") == "! t:1:7: unexpected '}'");
  CHECK(rendered("{{ 1 2 }}") == "! t:1:6: expected '}}', found '2'");
  CHECK(rendered("\n{# x") == "! t:2:1: a comment without its end '#}'");
  CHECK(rendered("{% raw %}x") == "! t:1:1: 'raw' without its 'endraw'");
  CHECK(rendered("{{ 'x }}") == "! t:1:4: a text without its end '");
  CHECK(rendered("{{ x") == "! t:1:1: '{{' without its end");
  CHECK(rendered("{{ 99999999999999999999 }}") == "! t:1:4: the number 99999999999999999999 is too large");
  CHECK(rendered("{{ 'a' + 1 }}") == "! t:1:8: '+' of a text and a number");
  CHECK(rendered("{{ messages[0].role }}") == "! t:1:12: 'messages' is undefined");
  CHECK(rendered("{{ raise_exception('no ' ~ 'way') }}") == "! t refuses it: no way");
  CHECK(rendered(std::string("{{ '\xFF' }}")) == "! t: the template is not UTF-8");
}

TEST_CASE("steps, depth, numbers and output are bounded") {
  const std::string loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
  CHECK(rendered(loops) == "! t:1:40: the template takes too many steps");
  CHECK(rendered("{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x "
                 "%}{% endfor %}")
            .ends_with(": the template makes too much text"));
  CHECK(rendered("{{ 'aaaa' * 999999999999 }}").ends_with(": the template takes too many steps"));
  // What is long is paid for wherever it is copied, compared or looked through.
  const std::string text = ": the template makes too much text",
                    steps = ": the template takes too many steps";
  const auto of = [](const std::string& work) {
    return rendered(
        "{% set ns = namespace(l=[], k='x') %}{% for i in range(24) %}{% set ns.k = ns.k + ns.k %}{% endfor "
        "%}"
        "{% set k = ns.k %}{% set d = {k: 1} %}" +
        work);
  };
  const auto again = [&](const std::string& work) {
    return of("{% for i in range(9) %}" + work + "{% endfor %}");
  };
  CHECK(of("{% set x = {k: 1, k: 1, k: 1} %}").ends_with(text));
  CHECK(of("{% set x = range(9) | tojson(separators=(k, ':')) %}").ends_with(text));
  CHECK(of("{% set x = dict(a=1, b=2, c=3, d=4, e=5, f=6) | tojson(separators=(',', k)) %}").ends_with(text));
  for (const char* keys : {"d | list", "d.keys()", "d.items()", "d | dictsort", "[{}[k]]", "[''[k]]"})
    CHECK(again(cat("{% set ns.l = ns.l + (", keys, ") %}")).ends_with(text));
  for (const char* work : {"''.strip(k)", "k | int", "k | float", "[{}] | map(attribute=k) | list", "d == d",
                           "d[k]", "k in d", "d.get(k)"})
    CHECK(again(cat("{% set x = ", work, " %}")).ends_with(text));
  CHECK(rendered(
            "{% set t = ('x',) * 100000 %}{% for i in range(30) %}{% set x = ''.startswith(t) %}{% endfor %}")
            .ends_with(steps));
  CHECK(rendered("{{ [1] * 99999999 }}").ends_with(": the template takes too many steps"));
  CHECK(rendered("{{ range(999999) }}") == "! t:1:4: 'range' of more than 100000 numbers");
  CHECK(rendered("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}")
            .ends_with(": nested deeper than 400 levels"));
  CHECK(rendered("{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}")
            .ends_with(": lists nested deeper than 100 levels"));
  CHECK(rendered("{{ " + std::string(500, '(') + "1" + std::string(500, ')') + " }}")
            .ends_with(": nested deeper than 100 levels"));
  CHECK(rendered("{{ " + std::string(500, '-') + "1 }}").ends_with(": nested deeper than 100 levels"));
  std::string sum = "{{ 1";
  for (int i = 0; i < 500; ++i) sum += " + 1";
  CHECK(rendered(sum + " }}").ends_with(": nested deeper than 100 levels"));
  std::string ifs;
  for (int i = 0; i < 500; ++i) ifs += "{% if 1 %}";
  CHECK(rendered(ifs).ends_with(": nested deeper than 100 levels"));
  CHECK(rendered("{{ 9223372036854775807 + 1 }}") == "! t:1:24: a whole number beyond 64 bits");
  CHECK(rendered("{{ (-9223372036854775807 - 1) // -1 }}").ends_with(": a whole number beyond 64 bits"));
  CHECK(rendered("{{ 3 ** 99 }}") == "! t:1:6: a whole number beyond 64 bits");
  CHECK(rendered("{{ (-1) ** 9223372036854775807 }} {{ 0 ** 0 }} {{ 0 ** 5 }} {{ 1 ** 99 }}") == "-1 1 0 1");
  CHECK(rendered(std::string((1 << 20) + 1, 'x')) == "! t: a template of more than 1 MiB");
  CHECK(rendered("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns.x.x == ns }}") == "True");
}
