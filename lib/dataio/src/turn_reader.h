#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conversation.h"

namespace cornstarch::dataio {

// What a JSON value is, as messages say it.
inline constexpr std::string_view kNull = "null";
inline constexpr std::string_view kString = "a string";
inline constexpr std::string_view kObject = "an object";
inline constexpr std::string_view kList = "a list";

/// A value of JSON, at its start.
struct JsonEvent {
  std::string_view kind;
  std::string* text = nullptr;  ///< of a string; may be moved from
  std::optional<double> number = {};
};

/// Keeps what one turn says while its JSON is walked through: {"from", "value"} or {"role", "content"}, with
/// the text as a string or as a list of parts. Depths count from the turn: its keys stand at 1, the parts at
/// 2, their keys at 3, and what stands in an object there at 4.
class TurnReader {
 public:
  /// `name`: "messages[2]".
  explicit TurnReader(std::string name) : name_(std::move(name)) {}

  void key(std::size_t depth, const std::string& key);
  void value(std::size_t depth, const JsonEvent& event);
  /// An object or list has ended, whose values were at `depth`.
  void end(std::size_t depth);

  Result<Turn> take();
  /// By MediaKind: what its parts name, and how many name nothing.
  std::array<std::vector<std::string>, kMediaKinds> files;
  std::array<std::size_t, kMediaKinds> bare = {};

 private:
  struct Part {
    std::optional<std::string> type;
    std::vector<std::pair<std::string, std::string>> fields;
  };

  void wrong(std::string what, std::string help = {});
  void add_text(const std::string& place, std::string& text);
  void field(const JsonEvent& event);
  void part_field(std::size_t depth, const JsonEvent& event);
  void end_part();
  std::string part_name() const;
  Result<Role> role() const;

  std::string name_, key_, part_key_, inner_key_;
  std::optional<std::string> from_;
  std::string from_key_ = "from", text_key_ = "value";
  std::optional<std::string> text_;
  bool learnt_ = true;
  bool in_parts_ = false;     ///< within the list of parts
  std::size_t parts_ = 0;     ///< begun
  std::optional<Part> part_;  ///< that is being read
  std::optional<Error> problem_;
};

}  // namespace cornstarch::dataio
