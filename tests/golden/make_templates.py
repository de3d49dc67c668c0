"""Writes tests/golden/templates/conversations.json and language.json: what transformers makes of conversations.

Needs transformers and jinja2; run from the root of the repository:

    python tests/golden/make_templates.py

The templates are those that models were published with, in tests/golden/templates/published. Of each text only a
hash is kept (FNV-1a, 32 bits), of each refusal its message.
"""

import json
from datetime import datetime
from pathlib import Path

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template, render_jinja_template

OUT = Path(__file__).parent / "templates"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def strftime_now(form):
    """The day that stands still."""
    return datetime(2024, 7, 26).strftime(form)


# ---- conversations -----------------------------------------------------------------------------------------------

PIECES = [
    "Hello!", "What is written?", "seven", " spaces around ", "two\nlines\n", "\n\n", "\t", "", "\u00a0nbsp\u2003", "na\u00efve \u4e16\u754c \U0001f600",
    "<s>", "</s>", "[INST] x [/INST]", "<|im_end|>", "{{ messages }}", "{% if %}", "\\n 'quoted' \"twice\"", "<think>\nwell\n</think>\n\nthen",
    "</think>", "a < b & c > d", "1234567890", "<image>", "<tool_response>no</tool_response>", "\x1c\x85\u2028",
]  # fmt: skip


class Random:
    def __init__(self):
        self.state = 2024

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def make_conversations(count):
    """Each a list of [role, pieces], as letters of "sua" and places in PIECES."""
    random = Random()
    made = []
    for i in range(count):
        texts = lambda: [random.below(len(PIECES)) for _ in range(1 + random.below(3))]
        roles = "s" * (random.below(3) == 0) + ("ua" * 6)[: 1 + random.below(7)]
        if i % 16 == 7:  # not one after the other
            roles = "".join("sua"[random.below(3)] for _ in range(1 + random.below(4)))
        made.append([[role, texts()] for role in roles])
    return made


def messages_of(conversation, parts):
    names = {"s": "system", "u": "user", "a": "assistant"}
    messages = []
    for role, pieces in conversation:
        texts = [PIECES[p] for p in pieces]
        content = [{"type": "image"} if t == "<image>" else {"type": "text", "text": t} for t in texts] if parts else "".join(texts)
        messages.append({"role": names[role], "content": content})
    return messages


def fnv(text):
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return f"{value:08x}"


def rendered(template, messages, asks):
    try:
        texts, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=asks, strftime_now=strftime_now, **TOKENS)
        return fnv(texts[0])
    except (jinja2.TemplateError, TypeError) as error:
        return f"!{error}" if type(error) is jinja2.TemplateError else "!"


def make_conversations_file():
    conversations = make_conversations(520)
    templates = {}
    for path in sorted((OUT / "published").glob("*.jinja")):
        template = path.read_text()
        both = {}
        for parts in (False, True)[: 1 + ("['type']" in template or '["type"]' in template or "'type'" in template)]:
            outs = [rendered(template, messages_of(c, parts), c[-1][0] == "u") for c in conversations]
            errors = sorted({o for o in outs if o.startswith("!")})
            both["parts" if parts else "texts"] = {"errors": errors, "hashes": "".join(f"!{errors.index(o):x}" if o.startswith("!") else o for o in outs)}
        templates[path.stem] = both
    content = {"pieces": PIECES, "conversations": conversations, **TOKENS, "templates": templates}
    (OUT / "conversations.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


# ---- the language ------------------------------------------------------------------------------------------------

VARIABLES = {
    "n": 7, "x": 2.5, "big": 1e22, "yes": True, "no": False, "nothing": None, "text": " Some text\u00e9 ", "empty": "", "word": "kilo",
    "list": [1, "two", None, 3.5, True], "words": ["b", "a", "C"], "numbers": [3, -1, 10],
    "dict": {"b": 1, "a": [1, {"k": "v'"}], "C": None}, "people": [{"name": "Ann", "age": 3}, {"name": "Bo", "age": 5}, {"name": "Cy"}],
}  # fmt: skip

LINES = r'''
{{ n + 1 }} {{ n - 10 }} {{ n * 3 }} {{ n / 2 }} {{ n // 2 }} {{ -n // 2 }} {{ n % 4 }} {{ -n % 4 }} {{ n ** 2 }} {{ 2 ** -1 }}
{{ x * 2 }} {{ x // 2 }} {{ x % 2 }} {{ -x % 2 }} {{ big }} {{ 1e16 }} {{ 1e15 }} {{ 0.0001 }} {{ 0.00001 }} {{ 1.5e300 * 1e10 }} {{ 3.0 }}
{{ 1 + true }} {{ yes + yes }} {{ -yes }} {{ +n }} {{ - -n }}
{{ 'a' + 'b' 'c' }} {{ 'ab' * 3 }} {{ 2 * 'x' }} {{ [1] * 2 }} {{ [1] + [2, 'x'] }} {{ (1, 2) + (3,) }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1, 'b'] ~ undefined_thing }}
{{ 'a' + 1 }}
{{ 'a' + nothing }}
{{ 'a' + undefined_thing }}
{{ undefined_thing }}|{{ undefined_thing.attribute }}
{{ dict.missing }}|{{ dict['missing'] }}|{{ nothing.x }}|{{ list[99] }}|{{ text[99] }}
{{ dict.missing.more }}
{{ dict.b }} {{ dict['a'][1].k }} {{ dict.a.1.k }} {{ list[-1] }} {{ list[1][0] }} {{ text[1] }} {{ text[-2] }}
{{ list[1:3] }} {{ list[:2] }} {{ list[-2:] }} {{ list[::-1] }} {{ list[::2] }} {{ list[3:1:-1] }} {{ list[10:] }} {{ list[-99:99] }}
{{ text[1:5] }} {{ text[:-1] }}| {{ text[::-1] }} {{ word[::2] }} {{ (1, 2, 3)[1:] }} {{ word[3:0:-2] }} {{ word[99::-1] }} {{ word[:-99:-1] }}
{{ none }} {{ true }} {{ True }} {{ False }} {{ None }} {{ [] }} {{ {} }} {{ () }} {{ (1,) }} {{ {'a': 1, "b": [None, 'x"y', "it's", 'both\'"']} }}
{{ 'tab\there\\ \x41 \u00e9 \U0001f600 \101 \d' }}
{{ 'control \x01 \x7f \xad \u200b \ue000' | list }} {{ ['\n\r\t\\'] }} {{ ['é世😀'] }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 'a' }} {{ 'a' == 1 }} {{ [1, 2] == [1, 2] }} {{ (1,) == [1] }} {{ none == none }} {{ none == false }}
{{ 'a' < 'b' }} {{ 'Z' < 'a' }} {{ 'é' > 'z' }} {{ 2 >= 2 }} {{ 2 != 2 }} {{ u1 == u2 }} {{ u1 == none }} {{ dict == dict }} {{ {'a': 1} == {'a': 2} }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ 'om' in text }} {{ 'x' not in text }} {{ 1 in list }} {{ 'two' in list }} {{ 'b' in dict }} {{ 'z' in dict }} {{ 'x' in undefined_thing }} {{ '' in 'a' }} {{ u in [1] }}
{{ 1 in text }}
{{ 1 in 5 }}
{{ u in 'x' }}
{{ yes and no }} {{ no or 'x' }} {{ '' or 'y' }} {{ not yes }} {{ not not 'x' }} {{ n and text }} {{ empty or nothing or 0 }} {{ not n == 7 }} {{ yes and not no }}
{{ 'a' if yes else 'b' }} {{ 'a' if no else 'b' }} {{ 'a' if no }}| {{ 1 if no else 2 if yes else 3 }} {{ (1 if yes) + 1 }}
{{ 1 + (2 if no) }}
{{ n is defined }} {{ u is defined }} {{ u is undefined }} {{ u is not defined }} {{ nothing is none }} {{ n is none }} {{ n is not none }} {{ dict.z is defined }}
{{ n is number }} {{ x is number }} {{ yes is number }} {{ n is integer }} {{ yes is integer }} {{ x is float }} {{ yes is boolean }} {{ yes is true }} {{ n is true }} {{ no is false }}
{{ text is string }} {{ n is string }} {{ dict is mapping }} {{ list is mapping }} {{ list is iterable }} {{ text is iterable }} {{ n is iterable }} {{ dict is sequence }} {{ n is sequence }} {{ u is iterable }} {{ none is iterable }}
{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(2) }} {{ n is eq 7 }} {{ n is equalto(8) }} {{ n is gt 3 }} {{ n is lt(3) }} {{ n is in [7] }} {{ n is ne 7 }} {{ n is ge 7 }} {{ n is le 6 }} {{ nothing is sameas none }} {{ n is not in [1] }}
{{ n is string or n is number }} {{ n is odd and yes }} {{ 1 if n is odd else 2 }} {{ n is eq(7) and not no }}
{{ n is odd is even }}
{{ n is unknown_test }}
{{ n | unknown_filter }}
{{ text | trim }}| {{ '--a-' | trim('-') }} {{ text.strip() }}| {{ text.lstrip() }}| {{ text.rstrip() }}| {{ 'xxaxx'.strip('x') }} {{ 'éaé'.strip('é') }} {{ '\u2003a\x1c' | trim }}
{{ text | length }} {{ list | length }} {{ dict | count }} {{ u | length }} {{ '' | length }} {{ 'é世😀' | length }}
{{ n | length }}
{{ text | upper }} {{ text | lower }} {{ 'heLLo wORLD-x' | title }} {{ 'heLLo wORLD' | capitalize }} {{ "they're o_k 1st".title() }} {{ "they're" | title }} {{ 'ÀÉñ'.upper() }} {{ 'ÀÉñ' | lower }} {{ 'ABC'.capitalize() }}
{{ words | join(', ') }} {{ list | join }} {{ people | join('-', attribute='name') }} {{ [] | join }} {{ words | join(1) }} {{ 'abc' | join('.') }} {{ ['a', u] | join('-') }}
{{ list | first }} {{ list | last }} {{ 'abc' | first }} {{ [] | first }}| {{ [] | last is defined }}
{{ dict | list }} {{ 'aé' | list }} {{ (1, 2) | list }} {{ n | string + '!' }} {{ none | string }} {{ u | string }}|
{{ '12' | int }} {{ ' 12 ' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ -3.9 | int }} {{ none | int }} {{ '2.5' | float }} {{ 'x' | float }} {{ 'x' | float(1.5) }} {{ '7' | float }} {{ true | int }}
{{ 'aXbXc' | replace('X', '-') }} {{ 'aXbXc'.replace('X', '', 1) }} {{ 'ab' | replace('', '.') }} {{ 'aaa' | replace('aa', 'b') }} {{ 5 | replace('5', 'x') }}
{{ u | default('d') }} {{ u | d }}| {{ none | default('d') }} {{ none | default('d', true) }} {{ '' | default('d', boolean=true) }} {{ n | default('d') }} {{ u | default(default_value='k') }}
{{ people | map(attribute='name') | list }} {{ people | map(attribute='age', default=0) | list }} {{ words | map('upper') | join }} {{ ['a-b'] | map('replace', '-', '+') | list }} {{ [[1, 2], [3, 4]] | map('last') | list }} {{ [{'a': {'b': 1}}] | map(attribute='a.b') | list }} {{ [[1, 2]] | map(attribute=1) | list }}
{{ people | selectattr('age') | map(attribute='name') | list }} {{ people | selectattr('age', 'defined') | list | length }} {{ people | selectattr('name', 'equalto', 'Bo') | list }} {{ people[:2] | rejectattr('age', 'gt', 3) | map(attribute='name') | join(',') }}
{{ people | rejectattr('age', 'defined') | map(attribute='name') | join(',') }} {{ numbers | select('odd') | list }} {{ numbers | reject('odd') | list }} {{ list | select | list }} {{ numbers | select('gt', 0) | list }} {{ words | select('in', ['a', 'C']) | list }}
{{ dict | items | list }} {{ dict.items() | list }} {{ dict.keys() | list }} {{ dict.values() | list }} {{ dict.get('b') }} {{ dict.get('z') }} {{ dict.get('z', 5) }} {{ dict | dictsort }} {{ u | items | list }}
{{ words | reverse | list }} {{ word | reverse }} {{ -5 | abs }} {{ (-5) | abs }} {{ -2.5 | abs }} {{ numbers | min }} {{ numbers | max }} {{ numbers | sum }} {{ people[:2] | sum(attribute='age') }} {{ [] | sum }} {{ [] | max }}|
{{ dict | tojson }} {{ list | tojson }} {{ text | tojson }} {{ '<a>&\'"\\\n\x01/é' | tojson }} {{ {} | tojson }} {{ [] | tojson }} {{ big | tojson }}
{{ dict | tojson(indent=2) }} {{ [] | tojson(indent=4) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }} {{ 'é😀' | tojson(ensure_ascii=true) }} {{ [1, {'a': 2}] | tojson(separators=(',', ':')) }} {{ (1, 2) | tojson }}
{{ dict | tojson | safe }} {{ text | safe }}
{{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ ' a  b c '.split() }} {{ ' a  b c '.split(none, 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a  b c '.rsplit(none, 1) }} {{ 'abc'.split('x')[-1] }} {{ ''.split() }} {{ ''.split(',') }} {{ ' a b'.rsplit() }} {{ 'a b c'.split(' ', maxsplit=1) }}
{{ 'a\nb\r\nc\rd\n\ne\u2028f'.splitlines() }} {{ ''.splitlines() }} {{ '\n'.splitlines() }}
{{ word.startswith('ki') }} {{ word.endswith('lo') }} {{ word.startswith(('x', 'k')) }} {{ word.startswith('') }} {{ word.find('l') }} {{ word.find('z') }} {{ 'éaa'.find('a') }} {{ 'éaa'.rfind('a') }} {{ 'aaaa'.count('aa') }} {{ 'é'.count('') }} {{ word.removeprefix('ki') }} {{ word.removesuffix('lo') }} {{ '12'.isdigit() }} {{ ''.isdigit() }}
{{ ', '.join(words) }} {{ '-'.join('abc') }} {{ ''.join([]) }}
{{ ', '.join([1]) }}
{{ word.unknown_method() }}
{% for i in numbers %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}:{{ i }};{% endfor %}
{% for i in numbers if i > 0 %}{{ loop.index }}/{{ loop.length }}={{ i }} {% else %}none{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}
{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}{% for k in dict %}{{ k }}{% endfor %}{% for c in 'aé' %}[{{ c }}]{% endfor %}{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}
{% for i in numbers %}{{ loop.previtem }}<{{ i }}<{{ loop.nextitem }} {% endfor %}{% for i in range(3) %}{% for j in range(i) %}{{ loop.depth }}{{ i }}{{ j }} {% endfor %}{% endfor %}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %} {{ range(2, 5) | list }} {{ range(5, 0, -2) | list }} {{ range(0) | list }}
{% for i in 5 %}x{% endfor %}
{% for i in none %}x{% endfor %}
{% for i in undefined_thing %}x{% endfor %}ok
{% for a, b in [(1, 2, 3)] %}x{% endfor %}
{% set a = 1 %}{% for i in range(2) %}{{ a }}{% set a = a + 5 %}{{ a }} {% endfor %}{{ a }}
{% for i in range(2) %}{% if b is defined %}again{% endif %}{% set b = 1 %}{% endfor %}{{ b is defined }}
{% set ns = namespace(count=0, seen=[]) %}{% for i in range(4) %}{% set ns.count = ns.count + i %}{% set ns.seen = ns.seen + [i] %}{% endfor %}{{ ns.count }}{{ ns.seen }}{{ ns.other is defined }}
{% set ns = namespace() %}{% set ns.x = 1 %}{{ ns.x }}{% set plain = 1 %}{{ plain.y is defined }}
{% set plain = 1 %}{% set plain.y = 2 %}
{% if n > 10 %}a{% elif n > 5 %}b{% elif n > 1 %}c{% else %}d{% endif %}{% if no %}x{% endif %}{% if u %}x{% else %}y{% endif %}{% if [] %}x{% elif {} %}y{% elif 0.0 %}z{% else %}w{% endif %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}{% set d %} block {{ n }} {% endset %}[{{ d }}]{% set e = d | trim %}[{{ e }}]
{% if yes %}{% set inside = 1 %}{% endif %}{{ inside }}{% for i in [1] %}{% set out = 1 %}{% endfor %}{{ out is defined }}
{% macro m(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(c=5, a=0) }}{{ m() }}{{ m(1) | length }}
{% set v = 1 %}{% macro m(a) %}{{ v }}{{ a }}{% set v = 9 %}{{ v }}{% endmacro %}{{ m(2) }}{{ v }}{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% for x in [] %}{% else %}{% set a = 1 %}{{ a }}{% endfor %}[{{ a }}]
{% for y in 'ab' %}{% for x in [] %}{% else %}{% break %}{% endfor %}{{ y }}{% endfor %}.
{% if people | selectattr('name', 'equalto', 'Di') %}SYS{% else %}NO{% endif %}{{ 'y' if {} | items }}{{ 'y' if [] | reverse }}
{% set u = words | select %}{% for m in u %}{{ m }}{% endfor %}|{% for m in u %}{{ m }}{% else %}none{% endfor %}{{ u | list }}
{% set u = words | map('upper') %}{{ u | first }}{{ u | first }}{{ u | join }}{{ u | first }}
{% set u = words | map('upper') %}{{ 'A' in u }}{{ u | join }}{{ 'A' in u }}{{ u is defined }}{{ not u }}
{% set u = numbers | reverse %}{{ u | sum }}{{ u | list }}{{ u | max is undefined }}
{% set u = numbers | select %}{% for x in u if x > 1 %}{{ x }}{{ loop.length }}{% endfor %}|{{ u | list }}
{% set s = namespace(u=[1] | select) %}{% set v = s.u %}{{ v | list }}{{ s.u | list }}
{{ words | map('upper') | length }}
{{ words | reverse | length }}
{{ {'a': 1} | items | length }}
{{ words | map('upper') | last }}
{{ (words | reverse)[0] }}{{ (words | map('upper'))[0] is undefined }}
{{ (words | reverse)[:1] }}
{{ [1, 2] | select + [1] }}
{{ [1, 2] | select | tojson }}
{{ [1] | select is sequence }}{{ [1] | select is iterable }}{{ [1] | reverse is sequence }}
{{ words | map('upper') | reverse | join }}{{ words | map('upper') | reverse | length }}{{ dict | reverse | list }}
{% set u = [1] | select %}{{ u == u }}{{ u == [1] | select }}{{ u == [1] }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m(a, b=a) %}[{{ a }}{{ b }}]{% endmacro %}{{ m('x') }}{{ m('x', 'y') }}
{% set b = 'g' %}{% macro m(a=b, b=1) %}[{{ a }}{{ b }}]{% endmacro %}{{ m() }}{{ m(b=2) }}
{% set b = 'g' %}{% macro m(b=b) %}[{{ b }}]{% endmacro %}{{ m() }}
{% macro m(a=c) %}[{{ a }}]{% endmacro %}{% for c in 'x' %}{{ m() }}{% endfor %}
{{ not_a_function(1) }}
{{ n(1) }}
{{ raise_exception('so it is') }}
{% if not m is defined %}undefined{% endif %}{{ raise_exception is defined }}{{ strftime_now is defined }}
{{ {'a': 1}['a'] }} {{ {'a': 1}.a }} {{ [1, 2,] }} {{ {'a': 1,} }} {{ [[1], [2]][1][0] }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
a {{- ' b ' -}} c {%- if yes -%} d {%- endif -%} e {{ 'f' -}}   g
{# comment #}x{#- y -#} z {# {{ u.v.w }} #}!
{{ '}}' }} {{ '%}' }} {{ "{{" }} {{ {'a': {'b': 1}}['a']['b'] }} {{ {'a': {'b': 1}} }}
{ { x } } {x} % } { % %} }} { {{ n }}
{% set x = {'a': {'b': [1, 2, {'c': 3}]}} %}{{ x.a.b[2].c }}{{ x['a']['b'][-1]['c'] }}
{% generation %}{{ n }}{% set g = 1 %}{{ g }}{% endgeneration %}{{ g is defined }}
{{ messages }}
{{ 'a' is string }}{{ ('a' ~ 'b') is eq 'ab' }}{{ 'a' ~ 'b' | upper }}{{ ('a' ~ 'b') | upper }}{{ -1 | abs }}{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 1 - 1 - 1 }}{{ 8 / 2 / 2 }}{{ 1 ~ 2 + '3' }}{{ not 1 == 2 }}
{{ [1, 2, 3] | length > 2 }}{{ words | join | length }}{{ 'a' in 'abc' | upper }}{{ 'A' in ('abc' | upper) }}
{% include 'x' %}
{% extends 'x' %}
{% unknown %}
{% if yes %}
{% endif %}
{{ n
{{ 'open }}
{{ (1 }}
{{ 1 2 }}
{{ }}
{% for %}{% endfor %}
{% endfor %}
{{ n | }}
{{ n. }}
{{ [1, }}
{{ 'a' | tojson(unknown=1) }}
'''

SEVERAL = [
    '{{ "a\\\nb" }}\n',
    '  {% if yes %}\n  kept\n  {% endif %}\nend\n',
    '  {%+ if yes %}+{% endif +%}\n  x {% if yes %} y {% endif %}\n {# line #}\nz\n',
    '{% raw %}{{ not }} {% if %}{% endraw %}|{%- raw -%}  {{ x }}  {%- endraw -%}  |\n  {% raw %}\n  a\n  {% endraw %}\nb\n',
    "{%- set content = 'x' -%}\n{%- for m in people -%}\n    {{- m.name -}}\n    {%- if not loop.last -%}, {% endif -%}\n{%- endfor %}\n\nlast\n",
]  # fmt: skip


def make_language():
    cases = []
    for snippet in LINES.strip("\n").split("\n") + SEVERAL:
        try:
            result = {"text": _compile_jinja_template(snippet).render(**VARIABLES)}
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        cases.append({"template": snippet, **result})
    content = {"variables": VARIABLES, "cases": cases}
    (OUT / "language.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    make_conversations_file()
    make_language()
