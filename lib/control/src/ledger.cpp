#include "cornstarch/control/ledger.h"

#include <algorithm>
#include <set>

#include "cornstarch/base/text.h"

namespace cornstarch::control {
namespace {

constexpr std::size_t kKept = 16;       // calls of a group
constexpr std::size_t kKinds = 4096;    // told apart
constexpr std::size_t kHistory = 2048;  // calls whose order is known
constexpr std::size_t kLately = 64;

}  // namespace

int Ledger::add(std::string group, std::vector<int> ranks, bool collective) {
  const std::lock_guard lock(mutex_);
  const int nth = ++named_[{group, ranks}];
  if (nth > 1) group += cat(" (", nth, ")");
  entries_.push_back({{std::move(group), std::move(ranks), collective, {}}, 0, 0});
  return static_cast<int>(entries_.size()) - 1;
}

std::string Ledger::name(int group) const {
  const std::lock_guard lock(mutex_);
  return entries_[static_cast<std::size_t>(group)].calls.group;
}

void Ledger::begin(int group, std::string what) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[static_cast<std::size_t>(group)];
  kinds_begun_.push_back(kind_of(group, what));
  if (kinds_begun_.size() > kHistory) kinds_begun_.pop_front();
  entry.calls.last.push_back({entry.count++, std::move(what)});
  if (entry.calls.last.size() > kKept) entry.calls.last.pop_front();
  entry.used = ++used_;
}

int Ledger::kind_of(int group, const std::string& what) {
  if (kinds_.size() >= kKinds) {
    kinds_.clear();
    kinds_begun_.clear();
  }
  return kinds_.try_emplace({group, what}, static_cast<int>(kinds_.size())).first->second;
}

/// Steps are alike: what came behind a call in all earlier ones comes there again.
std::string Ledger::left_out() const {
  std::map<int, std::set<int>> behind;
  std::optional<int> expected;
  for (std::size_t i = 1; i < kinds_begun_.size(); ++i) {
    std::set<int>& usual = behind[kinds_begun_[i - 1]];
    const bool known = usual.empty() || usual.count(kinds_begun_[i]) > 0;
    if (!known && usual.size() == 1 && i + kLately >= kinds_begun_.size()) expected = *usual.begin();
    usual.insert(kinds_begun_[i]);
  }
  for (const auto& [kind, number] : kinds_) {
    if (number == expected)
      return cat(kind.second, " of '", entries_[static_cast<std::size_t>(kind.first)].calls.group, "'");
  }
  return "";
}

void Ledger::at(int step, std::string phase) {
  const std::lock_guard lock(mutex_);
  step_ = step;
  phase_ = std::move(phase);
}

int Ledger::step() const {
  const std::lock_guard lock(mutex_);
  return step_;
}

void Ledger::waits(std::function<Wait()> wait) {
  const std::lock_guard lock(mutex_);
  wait_ = std::move(wait);
}

void Ledger::done() { waits({}); }

RankState Ledger::state() const {
  const std::lock_guard lock(mutex_);
  RankState state{step_, phase_, wait_ ? std::optional(wait_()) : std::nullopt, {}, left_out()};
  std::vector<const Entry*> recent;
  for (const Entry& entry : entries_) {
    if (entry.count > 0) recent.push_back(&entry);
  }
  std::sort(recent.begin(), recent.end(), [](const Entry* a, const Entry* b) { return a->used > b->used; });
  for (const Entry* entry : recent) state.calls.push_back(entry->calls);
  return state;
}

}  // namespace cornstarch::control
