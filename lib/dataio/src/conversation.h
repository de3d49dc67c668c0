#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cornstarch/base/result.h"
#include "cornstarch/dataio/conversations.h"

namespace cornstarch::dataio {

enum class Role { system, user, assistant };

struct Turn {
  Role role = Role::user;
  std::string text;

  bool learn() const { return role == Role::assistant; }
};

/// One sample as its file spells it. A `system` beside the turns is the first of them.
struct Conversation {
  std::vector<Turn> turns;
  std::array<std::vector<std::string>, kMediaKinds> files;  ///< by MediaKind
  std::vector<std::string> unread;                          ///< keys that nothing reads and that name media

  const std::vector<std::string>& of(MediaKind kind) const { return files[static_cast<std::size_t>(kind)]; }
  bool has_answer() const;
};

/// What is wrong with a sample of another form comes with how to turn it into this one.
Result<Conversation> read_conversation(std::string_view json);

/// A stretch of text, or one placeholder (encoder >= 0).
struct Stretch {
  int encoder = -1;
  std::string_view text;
};

/// Cuts a text at the placeholders, the longest at each place.
std::vector<Stretch> cut_at_placeholders(std::string_view text, const std::vector<std::string>& placeholders);
std::vector<Stretch> cut_at_placeholders(std::string_view text, const std::vector<MediaSource>& media);

/// For each file of `kind` in the sample's list, the encoder that takes it; an error where the placeholders
/// are not as many as the files.
Result<std::vector<int>> assign_files(const Conversation& conversation, MediaKind kind,
                                      const std::vector<MediaSource>& media);

}  // namespace cornstarch::dataio
