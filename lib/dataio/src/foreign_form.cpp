#include "foreign_form.h"

#include <array>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

using namespace std::string_view_literals;

struct Form {
  std::size_t at;
  std::string_view magic;
  const char* name;
  const char* remedy;  ///< FILE stands for the file's name
};

constexpr std::array kForms = {
    Form{0, "PAR1"sv, "a Parquet file",
         "build cornstarch-train where Arrow's C++ library is (pip install pyarrow), which reads it; or turn "
         "it into JSON lines: python3 -c \"import pandas; "
         "pandas.read_parquet('FILE').to_json('FILE.jsonl', "
         "orient='records', lines=True)\""},
    Form{0, "ARROW1"sv, "an Arrow file",
         "turn it into JSON lines: datasets.Dataset.from_file('FILE').to_json(...)"},
    Form{0, "\xFF\xFF\xFF\xFF"sv, "an Arrow stream",
         "turn it into JSON lines: datasets.Dataset.from_file('FILE').to_json(...)"},
    Form{0, "\x1F\x8B"sv, "compressed by gzip", "unpack it: gunzip -k FILE"},
    Form{0, "\x28\xB5\x2F\xFD"sv, "compressed by zstd", "unpack it: unzstd FILE"},
    Form{0,
         "\xFD"
         "7zXZ\0"sv,
         "compressed by xz", "unpack it: unxz -k FILE"},
    Form{0, "BZh"sv, "compressed by bzip2", "unpack it: bunzip2 -k FILE"},
    Form{0, "PK\x03\x04"sv, "a zip archive", "unpack it: unzip FILE"},
    Form{0, "\xFF\xFE"sv, "text in UTF-16", "turn it into UTF-8: iconv -f UTF-16 -t UTF-8 FILE"},
    Form{0, "\xFE\xFF"sv, "text in UTF-16", "turn it into UTF-8: iconv -f UTF-16 -t UTF-8 FILE"},
};

std::string with_name(std::string text, const std::string& name) {
  for (std::size_t at = text.find("FILE"); at != std::string::npos; at = text.find("FILE", at + name.size()))
    text.replace(at, 4, name);
  return text;
}

}  // namespace

std::optional<Error> foreign_form(std::string_view head, const std::filesystem::path& path) {
  for (const Form& form : kForms) {
    if (head.size() < form.at || !head.substr(form.at).starts_with(form.magic)) continue;
    return Error{ExitCode::bad_data,
                 cat("'", path.string(), "' is ", form.name,
                     "; a data set is a .jsonl file, a .json list or a .tar of samples"),
                 with_name(form.remedy, path.filename().string())};
  }
  const std::size_t first = head.find_first_not_of(" \t\r\n");
  const std::size_t second =
      first == std::string_view::npos ? first : head.find_first_not_of(" \t\r", first + 1);
  if (second != std::string_view::npos && head[first] == '{' && head[second] == '\n')
    return Error{
        ExitCode::bad_data,
        cat("'", path.string(),
            "' is one object over several lines; a data set is a .jsonl file, a .json list or a .tar of "
            "samples"),
        with_name("write the samples as a list, or one a line: jq -c '.[]' FILE", path.filename().string())};
  return std::nullopt;
}

}  // namespace cornstarch::dataio
