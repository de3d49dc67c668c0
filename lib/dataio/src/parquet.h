#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "conversation.h"
#include "data_file.h"

namespace cornstarch::dataio {

inline bool is_parquet(std::string_view head) { return head.starts_with("PAR1"); }
/// Whether this build reads such files: with Arrow's C++ library.
bool reads_parquet();

/// A table of samples: its columns are a sample's keys, the turns of `conversations` or `messages` lists of
/// structs or JSON, media paths or structs of their bytes and path, as Hugging Face's `datasets` writes them.
/// Rows are read by whole groups, of which the last few are kept. Safe to use from several threads at once.
class ParquetFile {
 public:
  /// The same file, opened once more.
  static Result<ParquetFile> open(const DataFile& file);

  std::int64_t groups() const;
  /// Of the group, what each row's sample is: all but its media's bytes.
  Result<std::vector<std::string>> samples(std::int64_t group) const;
  /// One of them with its media, named as the sample names them.
  Result<Conversation> read(std::int64_t group, std::int64_t row) const;

 private:
  struct State;
  explicit ParquetFile(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace cornstarch::dataio
