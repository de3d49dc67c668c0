// Of builds without Arrow: nobody gets here, since what begins as a Parquet file is refused.
#include "parquet.h"

namespace cornstarch::dataio {

struct ParquetFile::State {};

bool reads_parquet() { return false; }

Result<ParquetFile> ParquetFile::open(const DataFile&) {
  return fail(ExitCode::internal, "a Parquet file in a build without Arrow");
}
std::int64_t ParquetFile::groups() const { return 0; }
Result<std::vector<std::string>> ParquetFile::samples(std::int64_t) const { return {}; }
Result<Conversation> ParquetFile::read(std::int64_t, std::int64_t) const { return Conversation{}; }

}  // namespace cornstarch::dataio
