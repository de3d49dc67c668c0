#include "bad_samples.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/dataio/probe.h"

namespace cornstarch::train {
namespace {

constexpr std::int64_t kJudgedFrom = 1000;
constexpr std::size_t kExamples = 20;

}  // namespace

BadSamples::BadSamples(const dataio::Dataset& data, std::int64_t of, double allowed_share)
    : data_(data), judged_from_(std::min(of, kJudgedFrom)), allowed_share_(allowed_share) {}

void BadSamples::add(const std::vector<std::int64_t>& samples, const std::vector<double>& bad) {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (samples[i] < 0) continue;
    ++read_;
    if (bad[i] == 0) continue;
    ++bad_;
    if (examples_.size() < kExamples) examples_.push_back(samples[i]);
  }
  if (read_ >= judged_from_ && static_cast<double>(bad_) > allowed_share_ * static_cast<double>(read_))
    give_up();
}

/// Every rank reads the examples again: only some found out what is wrong with them.
void BadSamples::give_up() const {
  std::vector<Error> problems;
  for (const std::int64_t sample : examples_)
    if (auto problem = dataio::trouble_with(data_, sample)) problems.push_back(std::move(*problem));
  throw Failure(ExitCode::bad_data,
                cat(bad_, " of ", read_, " samples that were read are bad, more than data.max_bad_fraction (",
                    allowed_share_, ") allows. Most often:\n", dataio::commonest(problems)),
                problems.empty() || problems.front().help.empty()
                    ? "mend the data, or raise data.max_bad_fraction"
                    : problems.front().help);
}

}  // namespace cornstarch::train
