#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cornstarch/checkpoint/checkpoint.h"

namespace cornstarch::checkpoint {

/// A piece as a part's index knows it.
struct StoredPiece {
  Piece piece;
  std::string hash;
};

/// rank-00003.json: what lies in the file of tensors beside it.
struct PartIndex {
  std::string header_hash;  ///< of what stands before the data
  std::vector<StoredPiece> pieces;
};

std::string part_name(int rank);
std::filesystem::path data_file(const std::filesystem::path& folder, const std::string& part);
std::filesystem::path index_file(const std::filesystem::path& folder, const std::string& part);

/// `hash`: of the file's text; "" where it is not known yet. Errors name the file.
Result<PartIndex> read_index(const std::filesystem::path& path, const std::string& hash);

/// The text of a part's index as it is on disk.
Result<std::string> index_text(const std::filesystem::path& path);

/// The tensors of a part, and what stands before them.
struct PartData {
  formats::SafetensorsFile file;
  std::string header;
};
Result<PartData> open_data(const std::filesystem::path& path);

/// What is wrong with a piece's bytes, or "".
std::string trouble_with(const std::filesystem::path& path, const StoredPiece& piece, const PartData& data,
                         const GivesUp& gives_up = {});

}  // namespace cornstarch::checkpoint
