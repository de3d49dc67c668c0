#include "answered.h"

#include "cornstarch/dataio/prompt.h"
#include "cornstarch/dataio/scores.h"

namespace cornstarch::train {

using Json = nlohmann::ordered_json;

Json answered(Json from, const std::string& question, const std::string& answer, bool cut_off,
              const std::vector<std::string>& right) {
  from["question"] = dataio::readable(question);
  from["answer"] = answer;
  if (cut_off) from["cut_off"] = true;
  if (right.empty()) return from;
  from["right"] = right;
  from["exact_match"] = dataio::exact_match(answer, right) ? 1 : 0;
  from["f1"] = dataio::token_f1(answer, right);
  return from;
}

std::string to_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace cornstarch::train
