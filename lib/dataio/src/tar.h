#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "byte_source.h"
#include "cornstarch/base/result.h"

namespace cornstarch::dataio {

/// Of the first kilobyte of a file.
bool is_tar(std::string_view head);

struct TarMember {
  std::string name;                  ///< without "./" in front
  std::int64_t headers = 0;          ///< where the first of its headers begins
  std::int64_t begin = 0, size = 0;  ///< of its bytes, all of which are there
};

/// Walks through an archive from one header to the next: ustar, pax's and GNU's long names and sizes. Nobody
/// trusts it: names that lead elsewhere and members that are no files are refused. Archives that were put one
/// behind the other are one.
class TarReader {
 public:
  /// `at`: where a member's headers begin.
  explicit TarReader(ByteSource bytes, std::int64_t at = 0) : bytes_(std::move(bytes)), at_(at) {}

  /// The next file, folders left out; nothing at the end. The error's message begins with the place: "at byte
  /// 512: ...".
  Result<std::optional<TarMember>> next();
  /// Where the next headers begin.
  std::int64_t position() const { return at_; }

 private:
  struct Header;
  struct Extension {
    std::optional<std::string> name;
    std::optional<std::int64_t> size;
    bool sparse = false;
  };

  /// Nothing at the end.
  Result<std::optional<Header>> header();
  Result<std::string> content(const Header& header, std::int64_t most);
  Result<void> extend(const Header& header, Extension& extension);
  Result<TarMember> member(const Header& header, const Extension& extension, std::int64_t first);
  tl::unexpected<Error> wrong(const std::string& what, const std::string& help = {}) const;

  ByteSource bytes_;
  std::int64_t at_;
  bool ended_ = false;  ///< zeros were the last that was seen
};

}  // namespace cornstarch::dataio
