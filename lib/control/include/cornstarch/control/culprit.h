#pragma once

#include <map>
#include <string>

#include "cornstarch/base/exit_codes.h"
#include "cornstarch/control/ledger.h"

namespace cornstarch::control {

/// The rank that ends a run, as all the others hear of it.
struct RankFailure {
  int rank = 0;
  int code = 0;  ///< what it exits with; 0 if it died without a word
  std::string host;
  std::string cause;
  int step = 0;    ///< from 1; 0 where it is not known
  std::string op;  ///< what it, or who waits for it, was at; "" where that is not known
};

/// What a rank that stops because of it exits with: a hang, a disagreement or a failed start is everybody's.
ExitCode exit_code_of_others(const RankFailure& failure);

/// A rank that cannot go on for others' sake.
struct Complaint {
  int rank = 0;
  Wait wait;            ///< for whom, in what
  std::string message;  ///< as it would put it if nobody else is to blame
};

/// Who it is that others wait for in the end. `states`: of all that answer.
/// - who called something else than most of its group did;
/// - else, following who waits for whom from the complaint on, who does not answer, or is in no operation;
/// - else (they wait in a circle) who has lately left out what it did each time before, or whom most wait
/// for.
RankFailure find_culprit(const std::map<int, RankState>& states, const Complaint& complaint);

/// What FAILURE.json holds: the failure, and what each rank was at as far as it has told.
std::string failure_report(const RankFailure& failure, const std::map<int, RankState>& states);

}  // namespace cornstarch::control
