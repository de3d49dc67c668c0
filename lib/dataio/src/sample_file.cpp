#include "sample_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

tl::unexpected<Error> cannot_read(const std::filesystem::path& path, const char* why, bool missing) {
  return fail(missing ? ExitCode::missing_input : ExitCode::io,
              cat("cannot read '", path.string(), "': ", why));
}

std::size_t start_of(std::string_view text) { return text.starts_with("\xEF\xBB\xBF") ? 3 : 0; }

std::vector<SamplePlace> find_lines(std::string_view text) {
  std::vector<SamplePlace> places;
  std::int64_t line = 1;
  for (std::size_t at = start_of(text); at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view content = trim(text.substr(at, end - at));
    if (!content.empty())
      places.push_back({static_cast<std::size_t>(content.data() - text.data()), content.size(), line});
    at = end + 1;
  }
  return places;
}

/// Walks through the text of an array, counting lines, and finds where its elements end.
class ArrayScanner {
 public:
  ArrayScanner(std::string_view text, std::size_t at) : text_(text), at_(at) { count_lines(0, at); }

  Result<std::vector<SamplePlace>> scan() {
    std::vector<SamplePlace> places;
    advance();  // '['
    skip_blank();
    if (peek() == ']') {
      advance();
    } else {
      while (true) {
        skip_blank();
        const std::size_t begin = at_;
        const std::int64_t line = line_;
        skip_element();
        if (at_ == begin) return problem("a sample is missing in the list");
        places.push_back({begin, at_ - begin, line});
        const char mark = peek();
        if (mark == '\0') return problem("the list does not end");
        advance();
        if (mark == ']') break;
      }
    }
    skip_blank();
    if (at_ < text_.size()) return problem("text after the end of the list");
    return places;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void advance() {
    if (peek() == '\n') ++line_;
    ++at_;
  }
  void count_lines(std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) line_ += text_[i] == '\n' ? 1 : 0;
  }
  void skip_blank() {
    while (at_ < text_.size() && kBlank.find(text_[at_]) != std::string_view::npos) advance();
  }
  void skip_string() {
    advance();
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') advance();
      advance();
    }
    advance();
  }
  /// Up to the ',' or ']' that follows the element, or the end of the text.
  void skip_element() {
    std::int64_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (depth == 0 && (c == ',' || c == ']')) return;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (c == '"') {
        skip_string();
      } else {
        advance();
      }
    }
    at_ = text_.size();
  }
  tl::unexpected<Error> problem(const char* what) const {
    return fail(ExitCode::bad_data, cat(line_, ": ", what));
  }

  std::string_view text_;
  std::size_t at_;
  std::int64_t line_ = 1;
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_read(path, std::strerror(errno), errno == ENOENT || errno == ENOTDIR);
  struct stat info{};
  void* data = MAP_FAILED;
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (regular && info.st_size > 0)
    data = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  if (!regular) return cannot_read(path, "it is no file", false);
  if (info.st_size == 0) return MappedFile(nullptr, 0);
  if (data == MAP_FAILED) return cannot_read(path, std::strerror(error), false);
  return MappedFile(static_cast<const char*>(data), static_cast<std::size_t>(info.st_size));
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

Result<std::vector<SamplePlace>> find_samples(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank, start_of(text));
  if (first == std::string_view::npos) return std::vector<SamplePlace>();
  if (text[first] == '[') return ArrayScanner(text, first).scan();
  return find_lines(text);
}

}  // namespace cornstarch::dataio
