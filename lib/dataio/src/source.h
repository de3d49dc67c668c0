#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "problems.h"
#include "sample_file.h"
#include "selection.h"

namespace cornstarch::dataio {

/// A data set that the config names: the samples of one file or of several, or a portion of them.
class Source {
 public:
  struct Sample {
    const SampleFile* file = nullptr;
    std::int64_t index = 0;  ///< in the file
  };

  static Result<Source> open(const ConversationFile& wanted, const ConversationOptions& options);

  /// As the config has it.
  std::string name() const { return wanted_.path.string(); }
  bool is_divided() const { return wanted_.portion != Portion::all; }
  std::int64_t all() const;
  const std::vector<SampleFile>& files() const { return files_; }

  /// Takes its portion: what draws less than `bound` is held out.
  void select(double bound);
  std::int64_t size() const { return size_; }
  /// Samples of an epoch.
  std::int64_t weighted() const;
  /// 0 <= i < weighted(): sample i is that of i mod size().
  Sample operator[](std::int64_t i) const;
  /// Calls f(i, sample) for 0 <= i < size(), in one pass.
  template <class F>
  void each(F f) const {
    std::int64_t taken = 0;
    for (std::size_t file = 0; file < files_.size(); ++file) {
      const SampleIndex& index = files_[file].index();
      for (std::int64_t i = 0; i < index.size() && taken < size_; ++i)
        if (selections_[file].has(files_[file], i)) f(taken++, Sample{&files_[file], i});
    }
  }

 private:
  Source(ConversationFile wanted, std::vector<SampleFile> files)
      : wanted_(std::move(wanted)), files_(std::move(files)) {}

  ConversationFile wanted_;
  std::vector<SampleFile> files_;
  std::vector<Selection> selections_;  ///< per file
  std::vector<std::int64_t> before_;   ///< how many samples are taken of the files before each
  std::int64_t size_ = 0;
};

/// The bound of draws below which sound samples of divided sources are held out.
Result<double> held_out_bound(const std::vector<Source>& sources, double hold_out);

/// What a look through samples has found.
struct Findings {
  std::int64_t samples = 0, bad = 0, unanswered = 0;
  std::int64_t looked_at = 0, lacking = 0;  ///< samples whose media were looked for, and those that lack some
  Problems problems;                        ///< of the samples that are bad or lack media
  std::vector<std::string> warnings;
};

/// Looks through a source's samples: through all by the index, through 1,000 spread over it for their media.
void review(const Source& source, Findings& findings);

}  // namespace cornstarch::dataio
