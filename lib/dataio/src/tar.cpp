#include "tar.h"

#include <algorithm>
#include <charconv>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::int64_t kBlock = 512;
constexpr std::int64_t kMostExtension = 1 << 20, kMostName = 4096;
constexpr std::size_t kMagic = 257;

std::string_view field(std::string_view block, std::size_t at, std::size_t size) {
  const std::string_view all = block.substr(at, size);
  return all.substr(0, all.find('\0'));
}

/// Octal digits, or GNU's and star's way for large ones.
std::optional<std::int64_t> number(std::string_view block, std::size_t at, std::size_t size) {
  std::string_view text = block.substr(at, size);
  std::int64_t value = 0;
  if ((text[0] & 0x80) != 0) {
    if (static_cast<unsigned char>(text[0]) != 0x80) return std::nullopt;  // negative, or too large
    for (const char c : text.substr(1)) {
      if (value >> 54 != 0) return std::nullopt;
      value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
  }
  text = text.substr(std::min(text.find_first_not_of(' '), text.size()));
  text = text.substr(0, text.find_first_of(std::string_view(" \0", 2)));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (text.empty()) return 0;
  return whole && value >= 0 ? std::optional(value) : std::nullopt;
}

bool sum_is_right(std::string_view block) {
  constexpr std::size_t at = 148, size = 8;
  std::int64_t plain = 0, with_signs = 0;  // as some have it that took bytes for chars
  for (std::size_t i = 0; i < block.size(); ++i) {
    const char c = i >= at && i < at + size ? ' ' : block[i];
    plain += static_cast<unsigned char>(c);
    with_signs += static_cast<signed char>(c);
  }
  const auto sum = number(block, at, size);
  return sum && (*sum == plain || *sum == with_signs);
}

/// What a member is that is no file, for messages; nothing if it may be one.
const char* other_kind(char type) {
  switch (type) {
    case '0':
    case '\0':
    case '7':
    case '5':
      return nullptr;
    case '1':
    case '2':
      return "a link";
    case 'S':
      return "a sparse file";
    case '3':
    case '4':
      return "a device";
    case '6':
      return "a pipe";
    case 'M':
      return "the rest of a file of another archive";
    default:
      return "of a kind of its own";
  }
}

std::string plain_name(std::string name) {
  while (name.starts_with("./")) name.erase(0, 2);
  return name;
}

std::int64_t whole_blocks(std::int64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

bool leads_up(std::string_view name) {
  const std::vector<std::string> parts = split(name, '/');
  return std::find(parts.begin(), parts.end(), "..") != parts.end();
}

}  // namespace

struct TarReader::Header {
  std::string name;
  char type = '0';
  std::int64_t at = 0, size = 0;
};

bool is_tar(std::string_view head) {
  return stands_at(head, kMagic, "ustar") && head.size() >= kBlock && sum_is_right(head.substr(0, kBlock));
}

tl::unexpected<Error> TarReader::wrong(const std::string& what, const std::string& help) const {
  return fail(ExitCode::bad_data, cat("at byte ", at_, ": ", what), help);
}

Result<std::optional<TarReader::Header>> TarReader::header() {
  while (true) {
    const std::string_view block = bytes_.read(at_, kBlock);
    if (auto trouble = bytes_.trouble()) return tl::unexpected(std::move(*trouble));
    if (block.empty() && ended_) return std::nullopt;
    if (std::ssize(block) < kBlock)
      return wrong("the archive ends without the zeros that end one", "was it cut short? Copy it again");
    ended_ = block.find_first_not_of('\0') == std::string_view::npos;
    if (!ended_) break;
    at_ += kBlock;
  }
  const std::string_view block = bytes_.read(at_, kBlock);
  if (!stands_at(block, kMagic, "ustar") || !sum_is_right(block)) return wrong("no header of a tar archive");
  const auto size = number(block, 124, 12);
  if (!size) return wrong("a header whose size is no number");
  Header out{std::string(field(block, 0, 100)), block[156], at_, *size};
  const std::string_view prefix = field(block, 345, 155);
  const bool posix = stands_at(block, kMagic, std::string_view("ustar\0", 6));
  if (posix && !prefix.empty()) out.name = cat(prefix, "/", out.name);
  return out;
}

/// Of an extension.
Result<std::string> TarReader::content(const Header& header, std::int64_t most) {
  if (header.size > most) return wrong(cat("an extension of ", header.size, " bytes; ", most, " are read"));
  std::string out(bytes_.read(header.at + kBlock, static_cast<std::size_t>(header.size)));
  if (auto trouble = bytes_.trouble()) return tl::unexpected(std::move(*trouble));
  if (std::ssize(out) < header.size)
    return wrong("the archive ends within an extension", "was it cut short?");
  return out;
}

/// pax: "30 path=...\n", the number being the record's length.
Result<void> TarReader::extend(const Header& header, Extension& extension) {
  const auto text = content(header, kMostExtension);
  if (!text) return tl::unexpected(text.error());
  std::string_view left = *text;
  while (!left.empty() && left[0] != '\0') {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(left.data(), left.data() + left.size(), length);
    const auto digits = static_cast<std::size_t>(end - left.data());
    if (error != std::errc() || length > left.size() || length < digits + 2 || left[digits] != ' ' ||
        left[length - 1] != '\n')
      return wrong("an extension that is no list of records");
    const std::string_view record = left.substr(digits + 1, length - digits - 2);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return wrong("an extension that is no list of records");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    left.remove_prefix(length);
    if (key == "path") extension.name = value;
    if (key.starts_with("GNU.sparse.")) extension.sparse = true;
    if (key != "size") continue;
    std::int64_t size = -1;
    const auto [stop, bad] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (bad != std::errc() || stop != value.data() + value.size() || size < 0)
      return wrong("an extension whose size is no number");
    extension.size = size;
  }
  return {};
}

Result<TarMember> TarReader::member(const Header& header, const Extension& extension, std::int64_t first) {
  TarMember out{plain_name(extension.name.value_or(header.name)), first, header.at + kBlock,
                extension.size.value_or(header.size)};
  if (std::ssize(out.name) > kMostName) return wrong(cat("a name of ", out.name.size(), " bytes"));
  const char* kind = extension.sparse ? "a sparse file" : other_kind(header.type);
  if (kind != nullptr)
    return wrong(cat("'", out.name, "' is ", kind, ", which is not read"),
                 "a shard holds ordinary files: tar --dereference --hard-dereference, without --sparse");
  if (out.name.starts_with('/')) return wrong(cat("'", out.name, "' is refused: it is an absolute path"));
  if (leads_up(out.name)) return wrong(cat("'", out.name, "' is refused: it contains '..'"));
  if (out.size > bytes_.size() - out.begin)
    return wrong(cat("the archive ends within '", out.name, "'"), "was it cut short? Copy it again");
  at_ = out.begin + whole_blocks(out.size);
  return out;
}

Result<std::optional<TarMember>> TarReader::next() {
  Extension extension;
  std::optional<std::int64_t> first;  // of what belongs to one member
  while (true) {
    const auto header = this->header();
    if (!header) return tl::unexpected(header.error());
    if (!*header && first) return wrong("an extension of no member");
    if (!*header) return std::nullopt;
    if (!first) first = (*header)->at;
    Result<void> done;
    Extension ignored;
    const char type = (*header)->type;
    switch (type) {
      case 'x':
        done = extend(**header, extension);
        break;
      case 'g':
        done = extend(**header, ignored);
        if (done && (ignored.name || ignored.size || ignored.sparse))
          done = wrong("names or sizes for all members at once, which are not read");
        break;
      case 'L':
      case 'K': {
        auto text = content(**header, kMostExtension);
        if (!text) return tl::unexpected(text.error());
        if (type == 'L') extension.name = text->substr(0, text->find('\0'));
        break;
      }
      default: {
        auto found = member(**header, extension, *first);
        if (!found) return tl::unexpected(found.error());
        const bool folder = type == '5' || found->name.ends_with('/');
        if (!folder) return std::optional(std::move(*found));
        extension = {};
        first.reset();
        continue;
      }
    }
    if (!done) return tl::unexpected(done.error());
    at_ = (*header)->at + kBlock + whole_blocks((*header)->size);
  }
}

}  // namespace cornstarch::dataio
