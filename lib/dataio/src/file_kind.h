#pragma once

#include <string>
#include <string_view>

namespace cornstarch::dataio {

/// What a file is, told by how it begins.
struct FileKind {
  enum class Family { picture, video, sound, other };
  std::string name;  ///< "a TIFF picture", "an HTML page"; "" if it cannot be told
  Family family = Family::other;
};

/// `start`: the first 512 bytes, or as many as there are.
FileKind kind_of_file(std::string_view start);

}  // namespace cornstarch::dataio
