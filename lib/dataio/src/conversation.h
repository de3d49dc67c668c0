#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/dataio/conversations.h"
#include "tar.h"

namespace cornstarch::dataio {

/// Stands in a turn's text where the sample has a media item as a part of its own, by MediaKind: code points
/// that are no characters, and that no text may have. So texts with items in them are joined, rendered and
/// cut like others.
inline constexpr std::array<std::string_view, kMediaKinds> kPartMarks = {"\xEF\xB7\x90", "\xEF\xB7\x91",
                                                                         "\xEF\xB7\x92"};

bool has_part_mark(std::string_view text);
/// What is said of such a text, behind its place.
inline constexpr const char* kHasMark = " has a code point of U+FDD0 to U+FDD2, which are no characters";

/// One sample, whatever form its file has it in. A `system` beside the turns is the first of them.
struct Conversation {
  std::vector<Turn> turns;
  std::array<std::vector<std::string>, kMediaKinds> files;  ///< by MediaKind: paths, or data: URLs
  std::vector<std::string> unread;                          ///< keys that nothing reads and that name media
  std::vector<TarMember> members;                           ///< of a shard's sample: where its files lie
  struct Bytes {
    std::string name, content;
  };
  std::vector<Bytes> bytes;  ///< of a table's row: files that it holds

  const std::vector<std::string>& of(MediaKind kind) const { return files[static_cast<std::size_t>(kind)]; }
  bool has_answer() const;
};

/// LLaVA's and ShareGPT's `conversations`, OpenAI's `messages`: docs/data.md. What is wrong with a sample of
/// another form comes with how to turn it into one of these. `has_turns`: whether it has one of these keys,
/// or is no JSON.
Result<Conversation> read_conversation(std::string_view json, bool* has_turns = nullptr);

/// A hash of what the sample says: the same wherever and however it is written.
std::uint64_t identity_of(const Conversation& conversation);

/// A stretch of text, or one placeholder (encoder >= 0).
struct Stretch {
  int encoder = -1;
  std::string_view text;
};

/// Cuts a text at the placeholders, the longest at each place.
std::vector<Stretch> cut_at_placeholders(std::string_view text, const std::vector<std::string>& placeholders);
/// A part goes to the first encoder of its kind; assign_files() has seen to it that there is one only.
std::vector<Stretch> cut_at_placeholders(std::string_view text, const std::vector<MediaSource>& media);

/// The encoder that takes parts of a kind: the only one that takes such files.
std::optional<std::size_t> encoder_of_parts(MediaKind kind, const std::vector<MediaSource>& media);

/// For each file of `kind` in the sample's list, the encoder that takes it; an error where placeholders and
/// parts are not as many as the files.
Result<std::vector<int>> assign_files(const Conversation& conversation, MediaKind kind,
                                      const std::vector<MediaSource>& media);

}  // namespace cornstarch::dataio
