#include "cornstarch/control/culprit.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <tuple>

#include "cornstarch/base/text.h"
#include "cornstarch/base/words.h"

namespace cornstarch::control {
namespace {

using States = std::map<int, RankState>;
using GroupKey = std::pair<std::string, std::vector<int>>;
using ByRank = std::map<int, const Calls*>;  ///< one group's, as its members have them

constexpr int kCode = static_cast<int>(ExitCode::protocol);

std::map<GroupKey, ByRank> collectives(const States& states) {
  std::map<GroupKey, ByRank> groups;
  for (const auto& [rank, state] : states) {
    for (const Calls& calls : state.calls) {
      if (calls.collective) groups[{calls.group, calls.ranks}][rank] = &calls;
    }
  }
  return groups;
}

/// Of two equally large parties, the one that has lately done something unusual; then the one that is ahead,
/// as whoever has left something out is; then not the one that complains.
bool is_less_likely(const States& states, const std::vector<int>& right, const std::vector<int>& wrong,
                    int complainer) {
  const auto unusual = [&](const std::vector<int>& party) {
    return !states.at(party.front()).left_out.empty();
  };
  if (right.size() != wrong.size()) return right.size() > wrong.size();
  if (unusual(right) != unusual(wrong)) return unusual(wrong);
  const int ahead = states.at(wrong.front()).step - states.at(right.front()).step;
  if (ahead != 0) return ahead > 0;
  return std::count(wrong.begin(), wrong.end(), complainer) == 0;
}

/// The first call of a group that its members do not agree on.
std::optional<RankFailure> find_disagreement(const States& states, const GroupKey& group,
                                             const ByRank& members, int complainer) {
  std::map<long long, std::map<std::string, std::vector<int>>> parties;
  for (const auto& [rank, calls] : members) {
    for (const Call& call : calls->last) parties[call.index][call.what].push_back(rank);
  }
  for (const auto& [index, by_what] : parties) {
    if (by_what.size() < 2) continue;
    auto right = by_what.begin(), wrong = std::next(right);
    for (auto each = wrong; each != by_what.end(); ++each) {
      if (!is_less_likely(states, right->second, each->second, complainer)) {
        wrong = right;
        right = each;
      } else {
        wrong = each;
      }
    }
    const std::string where = cat("#", index, " of '", group.first, "'");
    return RankFailure{wrong->second.front(),
                       kCode,
                       "",
                       cat("called ", wrong->first, " as ", where, ", where ", describe_ranks(right->second),
                           " called ", right->first),
                       states.at(wrong->second.front()).step,
                       cat(wrong->first, " as ", where)};
  }
  return std::nullopt;
}

/// Whether a rank has begun what another waits in.
bool has_begun(const RankState& state, const Wait& wait) {
  for (const Calls& calls : state.calls) {
    if (calls.collective && calls.group == wait.group && !calls.last.empty())
      return calls.last.back().index >= wait.index;
  }
  return false;
}

/// Those that a rank waits for; only those that have not begun the operation, if it is known of any.
std::vector<int> waited_for(const States& states, const Wait& wait) {
  std::vector<int> behind;
  for (const int rank : wait.ranks) {
    const auto state = states.find(rank);
    if (state == states.end() || (!wait.group.empty() && !has_begun(state->second, wait)))
      behind.push_back(rank);
  }
  return behind.empty() ? wait.ranks : behind;
}

class Search {
 public:
  Search(const States& states, const Complaint& complaint) : states_(states), complaint_(complaint) {
    std::vector<int> open{complaint.rank};
    for (std::size_t i = 0; i < open.size(); ++i) {
      const auto wait = wait_of(open[i]);
      if (!wait) continue;
      for (const int next : waited_for(states_, *wait)) {
        waiters_[next].insert(open[i]);
        if (std::find(open.begin(), open.end(), next) == open.end()) open.push_back(next);
      }
    }
    reached_ = open;
    for (const auto& [rank, state] : states_) {
      const auto wait = wait_of(rank);
      if (!wait) continue;
      for (const int other : waited_for(states_, *wait)) waiters_[other].insert(rank);
    }
  }

  std::optional<RankFailure> silent() const {
    for (const int rank : reached_) {
      if (!states_.count(rank)) return blame(rank, "it does not answer (stopped, or its host is gone)");
    }
    return std::nullopt;
  }

  std::optional<RankFailure> elsewhere() const {
    for (const int rank : reached_) {
      const auto state = states_.find(rank);
      if (rank != complaint_.rank && state != states_.end() && !state->second.wait)
        return blame(rank, cat("it is in no operation with others (", state->second.phase, ")"));
    }
    return std::nullopt;
  }

  /// All wait: who has left something out; else who most wait for; of those who is ahead.
  std::optional<RankFailure> in_a_circle() const {
    std::optional<int> worst;
    const auto weight = [&](int rank) {
      const RankState& state = states_.at(rank);
      return std::tuple(!state.left_out.empty(), waiters_.at(rank).size(), state.step,
                        rank != complaint_.rank);
    };
    for (const int rank : reached_) {
      if (waiters_.count(rank) == 0 || !wait_of(rank)) continue;
      if (!worst || weight(rank) > weight(*worst)) worst = rank;
    }
    if (!worst || complaint_.wait.ranks.empty()) return std::nullopt;
    const Wait wait = *wait_of(*worst);
    const std::string& left_out = states_.at(*worst).left_out;
    return blame(*worst, cat("it ", left_out.empty() ? "" : cat("has left out ", left_out, " and "),
                             "waits itself for ", describe_ranks(waited_for(states_, wait)), ": ", wait.op));
  }

 private:
  std::optional<Wait> wait_of(int rank) const {
    if (rank == complaint_.rank) return complaint_.wait;
    const auto state = states_.find(rank);
    return state == states_.end() ? std::nullopt : state->second.wait;
  }

  RankFailure blame(int rank, const std::string& why) const {
    const int waiter = *waiters_.at(rank).begin();
    const Wait wait = *wait_of(waiter);
    const auto state = states_.find(rank);
    const int step = state == states_.end() ? 0 : state->second.step;
    const auto waited = describe_duration(std::chrono::duration<double>(wait.seconds));
    return {rank, kCode,  "", cat("rank ", waiter, " waited ", waited, " for it: ", wait.op, "; ", why),
            step, wait.op};
  }

  const States& states_;
  const Complaint& complaint_;
  std::vector<int> reached_;              ///< from the complaint on
  std::map<int, std::set<int>> waiters_;  ///< who waits for a rank
};

}  // namespace

ExitCode exit_code_of_others(const RankFailure& failure) {
  const auto code = static_cast<ExitCode>(failure.code);
  const bool everybodys = code == ExitCode::protocol || code == ExitCode::launch;
  return everybodys ? code : ExitCode::peer_failed;
}

RankFailure find_culprit(const States& told, const Complaint& complaint) {
  // Whoever complains has answered, whatever became of its other messages.
  States states = told;
  states.try_emplace(complaint.rank).first->second.wait = complaint.wait;
  for (const auto& [group, members] : collectives(states)) {
    if (auto odd = find_disagreement(states, group, members, complaint.rank)) return *odd;
  }
  const Search search(states, complaint);
  if (auto found = search.silent()) return *found;
  if (auto found = search.elsewhere()) return *found;
  if (auto found = search.in_a_circle()) return *found;
  const auto own = states.find(complaint.rank);
  return {complaint.rank,   kCode, "", complaint.message, own == states.end() ? 0 : own->second.step,
          complaint.wait.op};
}

}  // namespace cornstarch::control
