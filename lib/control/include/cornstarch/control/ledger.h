#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

/// What a rank has begun with others, and what it is at: kept while a run goes, looked at when it fails.
namespace cornstarch::control {

/// An operation that a rank cannot leave before others have joined in.
struct Wait {
  std::vector<int> ranks;  ///< that have not, as far as it knows
  std::string op;          ///< "all_reduce sum (512 fp32) as #3 of 'tp of llm stage 2'"
  std::string group;       ///< whose operation it is, as the ledger calls it; "" of a message
  long long index = -1;    ///< of the group's
  double seconds = 0;      ///< so far
};

struct Call {
  long long index = 0;  ///< of its group's, from 0
  std::string what;     ///< "all_reduce sum (512 fp32)"
};

/// The last operations of one group, or the last messages to or from one rank.
struct Calls {
  std::string group;
  std::vector<int> ranks;
  bool collective = true;  ///< the same operations on each of its ranks
  std::deque<Call> last;
};

struct RankState {
  int step = 0;  ///< from 1
  std::string phase;
  std::optional<Wait> wait;
  std::vector<Calls> calls;  ///< the group that was last used first
  std::string left_out;      ///< what it began each time before where it lately began something else; or ""
};

/// Any thread may use it.
class Ledger {
 public:
  /// Groups of the same name and ranks are told apart by their order: name() is what each is called.
  int add(std::string group, std::vector<int> ranks, bool collective);
  std::string name(int group) const;
  void begin(int group, std::string what);
  void at(int step, std::string phase);
  int step() const;
  /// Until done() this rank waits, for what `wait` says when it is asked.
  void waits(std::function<Wait()> wait);
  void done();
  RankState state() const;

 private:
  struct Entry {
    Calls calls;
    long long count = 0;
    long long used = 0;  ///< when, in calls of the rank
  };
  int kind_of(int group, const std::string& what);
  std::string left_out() const;

  mutable std::mutex mutex_;
  std::deque<Entry> entries_;
  std::map<std::pair<std::string, std::vector<int>>, int> named_;  ///< how many so far
  std::map<std::pair<int, std::string>, int> kinds_;
  std::deque<int> kinds_begun_;  ///< in their order
  long long used_ = 0;
  int step_ = 0;
  std::string phase_ = "starting";
  std::function<Wait()> wait_;
};

}  // namespace cornstarch::control
