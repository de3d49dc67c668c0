#include "named_templates.h"

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

/// `system` is what a system says in front, `rest` the turns behind it.
constexpr const char* kRest =
    "{% set system = messages[0].content if messages and messages[0].role == 'system' %}"
    "{% set rest = messages[1:] if system is defined else messages %}";

/// In a loop over `rest`.
constexpr const char* kTakeTurns =
    "{% if message.role != ('user' if loop.index0 % 2 == 0 else 'assistant') %}"
    "{{ raise_exception('turn ' ~ (loop.index + messages | length - rest | length) ~ ' is the ' ~ "
    "message.role ~ "
    "\"'s, but user and assistant must take turns\") }}{% endif %}";

constexpr const char* kPlain =
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content + (eos_token or '\\n') }}{% endgeneration %}"
    "{% else %}{{ message.content + '\\n' }}{% endif %}{% endfor %}";

/// As LLaVA v1.5 has it.
constexpr const char* kVicuna =
    "{{ (system if system is defined else 'A chat between a curious user and an artificial intelligence "
    "assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user\\'s questions.') + ' ' }}"
    "{% for message in rest %}TAKE_TURNS{% if message.role == 'user' %}{{ 'USER: ' + message.content + ' ' }}"
    "{% else %}ASSISTANT:{% generation %}{{ ' ' + message.content + eos_token }}{% endgeneration %}{% endif "
    "%}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}";

constexpr const char* kLlama2 =
    "{% for message in rest %}TAKE_TURNS{% if message.role == 'user' %}"
    "{% set front = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' if loop.first and system is defined else '' "
    "%}"
    "{{ bos_token + '[INST] ' + (front + message.content).strip() + ' [/INST]' }}"
    "{% else %}{% generation %}{{ ' ' + message.content.strip() + ' ' + eos_token }}{% endgeneration %}{% "
    "endif %}"
    "{% endfor %}";

/// Of version 0.2; where its own refuses a system, what it says stands in front of the first user's text.
constexpr const char* kMistral =
    "{{ bos_token }}{% for message in rest %}TAKE_TURNS{% if message.role == 'user' %}"
    "{% set front = system + '\\n\\n' if loop.first and system is defined else '' %}"
    "{{ '[INST] ' + front + message.content + ' [/INST]' }}"
    "{% else %}{% generation %}{{ message.content + eos_token }}{% endgeneration %}{% endif %}{% endfor %}";

constexpr const char* kLlama3 =
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}{% if message.role == 'assistant' "
    "%}"
    "{% generation %}{{ message.content.strip() + '<|eot_id|>' }}{% endgeneration %}"
    "{% else %}{{ message.content.strip() + '<|eot_id|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}";

constexpr const char* kChatml =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}{% if message.role == "
    "'assistant' %}"
    "{% generation %}{{ message.content + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message.content + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

constexpr const char* kQwen2Vl =
    "{% macro says(content) %}{% if content is string %}{{ content }}{% else %}{% for part in content %}"
    "{% if part.type == 'text' %}{{ part.text }}{% elif part.type in ('image', 'video') %}"
    "{{ '<|vision_start|><|' + part.type + '_pad|><|vision_end|>' }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>' }}{% endmacro %}"
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\\n' }}{% if message.role == 'assistant' %}"
    "{% generation %}{{ says(message.content) }}{% endgeneration %}{% else %}{{ says(message.content) }}{% "
    "endif %}"
    "{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// As Gemma 3 has it, which is Gemma 2's with a place for what a system says.
constexpr const char* kGemma =
    "{% macro says(content) %}{% if content is string %}{{ content.strip() }}{% else %}{% for part in "
    "content %}"
    "{% if part.type == 'image' %}<start_of_image>{% elif part.type == 'text' %}{{ part.text.strip() }}{% "
    "endif %}"
    "{% endfor %}{% endif %}{{ '<end_of_turn>' }}{% endmacro %}"
    "{{ bos_token }}{% for message in rest %}TAKE_TURNS{% if message.role == 'user' %}"
    "{% set front = '' %}{% if loop.first and system is defined %}"
    "{% set front = (system if system is string else system | map(attribute='text') | join) + '\\n\\n' %}{% "
    "endif %}"
    "{{ '<start_of_turn>user\\n' + front + says(message.content) }}"
    "{% else %}{{ '<start_of_turn>model\\n' }}{% generation %}{{ says(message.content) }}{% endgeneration "
    "%}{% endif %}"
    "{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}";

/// One in which user and assistant take turns.
std::string in_turns(std::string_view source) {
  constexpr std::string_view kMark = "TAKE_TURNS";
  const std::size_t at = source.find(kMark);
  return cat(kRest, source.substr(0, at), kTakeTurns, source.substr(at + kMark.size()));
}

}  // namespace

const std::vector<NamedTemplate>& named_templates() {
  static const std::vector<NamedTemplate> all = {
      {.name = "plain", .source = kPlain, .adds_begin = true, .apart = true},
      {.name = "vicuna", .source = in_turns(kVicuna), .adds_begin = true},
      {.name = "llama2", .source = in_turns(kLlama2)},
      {.name = "llama3",
       .source = kLlama3,
       .tokens = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
      {.name = "mistral", .source = in_turns(kMistral)},
      {.name = "chatml", .source = kChatml, .tokens = {"<|im_start|>", "<|im_end|>"}},
      {.name = "qwen2_vl",
       .source = kQwen2Vl,
       .tokens = {"<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"}},
      {.name = "gemma", .source = in_turns(kGemma), .tokens = {"<start_of_turn>", "<end_of_turn>"}}};
  return all;
}

}  // namespace cornstarch::dataio
