#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "cornstarch/control/culprit.h"

/// How ranks tell each other what they are at, and how FAILURE.json says it. What is missing or of another
/// kind counts as empty.
namespace cornstarch::control {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json);
std::string text_in(const Json& json, const char* name);
int number_in(const Json& json, const char* name);

Json to_json(const Wait& wait);
Wait wait_in(const Json& json);
/// As much of the calls as fits a message.
Json to_json(const RankState& state);
RankState state_in(const Json& json);
Json to_json(const RankFailure& failure);
RankFailure failure_in(const Json& json);

}  // namespace cornstarch::control
