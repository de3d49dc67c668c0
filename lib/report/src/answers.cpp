#include "cornstarch/base/text.h"
#include "json_lines.h"
#include "run_files.h"

namespace cornstarch::report {
namespace {

using Json = nlohmann::json;

std::string text_at(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<double> number_at(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

}  // namespace

void read_answers(const std::string& text, const std::string& name, Run& run) {
  Noted odd(run.notes, name);
  for_each_line(text, name, run.notes, [&](const Json& line, const std::string& place) {
    if (!line.contains("answer") || !line["answer"].is_string())
      return odd.add(place, "there is no text 'answer': the line was left out");
    Answer answer;
    if (line.contains("step") && line["step"].is_number_integer())
      answer.step = line["step"].get<std::int64_t>();
    answer.sample = text_at(line, "sample");
    answer.question = text_at(line, "question");
    answer.answer = text_at(line, "answer");
    if (line.contains("right") && line["right"].is_array())
      for (const Json& right : line["right"])
        if (right.is_string()) answer.right.push_back(right.get<std::string>());
    answer.exact_match = number_at(line, "exact_match");
    answer.f1 = number_at(line, "f1");
    answer.cut_off = line.value("cut_off", Json()) == true;
    run.answers.push_back(std::move(answer));
  });
}

}  // namespace cornstarch::report
