#include <algorithm>
#include <optional>

#include "conversation.h"
#include "cornstarch/base/text.h"
#include "json_text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kMaxDepth = 64, kMaxFiles = 65'000;  // which an index can count
constexpr const char* kNull = "null";
constexpr const char* kString = "a string";
constexpr const char* kObject = "an object";
constexpr const char* kList = "a list";

/// The keys that list media, by MediaKind: one path, or several.
constexpr std::array<std::array<const char*, 2>, kMediaKinds> kMediaKeys = {
    {{"image", "images"}, {"audio", "audios"}, {"video", "videos"}}};

std::optional<Role> role_of(const std::string& from) {
  if (from == "gpt" || from == "assistant") return Role::assistant;
  if (from == "human" || from == "user") return Role::user;
  if (from == "system") return Role::system;
  return std::nullopt;
}

/// "a/b.PNG", "data:image/png;base64,..."
bool names_media(const std::string& text) {
  static const std::vector<std::string> endings = {
      ".jpg",  ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".avif", ".wav",
      ".flac", ".mp3",  ".ogg", ".opus", ".m4a", ".mp4", ".avi", ".mkv",  ".mov",  ".webm"};
  if (text.starts_with("data:image/") || text.starts_with("data:audio/") || text.starts_with("data:video/"))
    return true;
  const std::size_t dot = text.rfind('.');
  if (dot == std::string::npos || text.size() - dot > 6) return false;
  std::string ending = text.substr(dot);
  for (char& c : ending) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

/// What to say of a sample without conversations, by the keys that it has.
Error other_form(const std::vector<std::string>& keys) {
  const auto has = [&](const char* key) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
  if (has("messages"))
    return {
        ExitCode::bad_data, "the sample has 'messages' (OpenAI's form), but no list 'conversations' of turns",
        "turn it into LLaVA's form: jq -c '.conversations = [.messages[] | {from: .role, value: .content}] "
        "| del(.messages)' OLD.jsonl > NEW.jsonl"};
  if (has("instruction") && (has("output") || has("response")))
    return {
        ExitCode::bad_data,
        "the sample has 'instruction' (Alpaca's form), but no list 'conversations' of turns",
        "turn it into LLaVA's form: jq -c '{conversations: [{from: \"human\", value: ([.instruction, .input] "
        "| map(select(. != null and . != \"\")) | join(\"\\n\"))}, {from: \"gpt\", value: (.output // "
        ".response)}]}' OLD.jsonl > NEW.jsonl"};
  return {ExitCode::bad_data, "the sample has no list 'conversations' of turns",
          "a sample is {\"conversations\": [{\"from\": \"human\", \"value\": ...}, {\"from\": \"gpt\", "
          "\"value\": ...}], \"image\": PATH}"};
}

/// Keeps what a sample says while its text is walked through: memory follows what is kept, not what is
/// written. Of what is wrong it keeps the first.
class Reader : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return value(kNull); }
  bool boolean(bool) override { return value("true or false"); }
  bool number_integer(number_integer_t) override { return value("a number"); }
  bool number_unsigned(number_unsigned_t) override { return value("a number"); }
  bool number_float(number_float_t, const string_t&) override { return value("a number"); }
  bool binary(binary_t&) override { return value("bytes"); }
  bool string(string_t& text) override { return value(kString, &text); }
  bool start_object(std::size_t) override { return open(kObject); }
  bool start_array(std::size_t) override { return open(kList); }

  bool key(string_t& name) override {
    if (depth() == 1) {
      top_ = name;
      if (keys_.size() < 64) keys_.push_back(name);
      forget();
    }
    if (in_turn()) field_ = name;
    return true;
  }
  bool end_object() override {
    if (in_turn()) end_turn();
    stack_.pop_back();
    return true;
  }
  bool end_array() override {
    stack_.pop_back();
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    broken_ = json_problem(error);
    return false;
  }

  Result<Conversation> take() {
    if (broken_) return tl::unexpected(*broken_);
    if (problem_) return tl::unexpected(*problem_);
    if (out_.turns.empty()) return tl::unexpected(other_form(keys_));
    if (system_) {
      if (out_.turns.front().role == Role::system)
        return fail(ExitCode::bad_data, "both 'system' and a first turn from 'system'");
      out_.turns.insert(out_.turns.begin(), Turn{Role::system, std::move(*system_)});
    }
    for (std::size_t kind = 0; kind < kMediaKinds; ++kind) {
      if (listed_[kind][0] && listed_[kind][1])
        return fail(ExitCode::bad_data,
                    cat("both '", kMediaKeys[kind][0], "' and '", kMediaKeys[kind][1], "'"));
    }
    for (auto& [key, file] : unread_) {
      const bool listed =
          std::any_of(out_.files.begin(), out_.files.end(), [&name = file](const auto& files) {
            return std::find(files.begin(), files.end(), name) != files.end();
          });
      if (!listed && std::find(out_.unread.begin(), out_.unread.end(), key) == out_.unread.end())
        out_.unread.push_back(key);
    }
    return std::move(out_);
  }

 private:
  std::size_t depth() const { return stack_.size(); }
  bool in_turns() const { return depth() == 2 && stack_[1] == kList && top_ == "conversations"; }
  bool in_turn() const {
    return depth() == 3 && stack_[1] == kList && stack_[2] == kObject && top_ == "conversations";
  }

  /// Of a key that stands twice the last value holds.
  void forget() {
    if (top_ == "conversations") {
      out_.turns.clear();
      turns_ = 0;
    }
    if (const auto place = media_key()) out_.files[place->kind].clear();
  }

  void wrong(std::string what, std::string help = {}) {
    if (!problem_) problem_ = Error{ExitCode::bad_data, std::move(what), std::move(help)};
  }

  bool open(const char* kind) {
    value(kind);
    stack_.push_back(kind);
    if (in_turn()) turn_ = {};
    if (depth() <= kMaxDepth) return true;
    broken_ = Error{ExitCode::bad_data, cat("JSON nested deeper than ", kMaxDepth, " levels"), {}};
    return false;
  }

  /// Any value, at its start.
  bool value(const char* kind, std::string* text = nullptr) {
    if (depth() == 0) {
      if (kind != kObject) wrong(cat("the sample is ", kind, ", not an object"));
    } else if (stack_[0] != kObject) {
      return true;
    } else if (depth() == 1) {
      top_value(kind, text);
    } else if (in_turns()) {
      if (kind != kObject && !problem_)
        wrong(cat("conversations[", turns_, "] is ", kind, ", not an object"));
    } else if (in_turn()) {
      turn_value(text);
    } else if (depth() == 2 && stack_[1] == kList) {
      listed_value(kind, text);
    }
    return true;
  }

  void top_value(const char* kind, std::string* text) {
    if (top_ == "system" && kind != kNull) {
      if (text == nullptr) return wrong(cat("'system' must be text, not ", kind));
      if (!text->empty()) system_ = std::move(*text);
      return;
    }
    const auto place = media_key();
    if (!place) return note_unread(text);
    if (kind == kNull) return;
    listed_[place->kind][place->many] = true;
    if (text != nullptr) {
      add_file(place->kind, *text);
    } else if (kind != kList) {
      wrong(cat("'", top_, "' must be a path or a list of paths, not ", kind));
    }
  }

  void listed_value(const char* kind, std::string* text) {
    const auto place = media_key();
    if (!place) return note_unread(text);
    if (text == nullptr) return wrong(cat("'", top_, "' must list paths, not ", kind));
    add_file(place->kind, *text);
  }

  void add_file(std::size_t kind, std::string& name) {
    std::vector<std::string>& files = out_.files[kind];
    if (files.size() == kMaxFiles) return wrong(cat("'", top_, "' lists more than ", kMaxFiles, " files"));
    files.push_back(std::move(name));
  }

  void turn_value(std::string* text) {
    if (field_ == "role" || field_ == "content") turn_.foreign = true;
    if (text == nullptr) return;
    if (field_ == "from") turn_.from = std::move(*text);
    if (field_ == "value") turn_.value = std::move(*text);
  }

  void end_turn() {
    const std::size_t index = turns_++;
    if (problem_) return;
    const auto role = turn_.from ? role_of(*turn_.from) : std::nullopt;
    if (role && turn_.value) {
      out_.turns.push_back({*role, std::move(*turn_.value)});
      return;
    }
    const std::string name = cat("conversations[", index, "]");
    if (turn_.foreign && (!turn_.from || !turn_.value))
      return wrong(cat(name, " has 'role' and 'content'; the keys of a turn are 'from' and 'value'"),
                   "turn it into LLaVA's form: jq -c '.conversations |= map({from: .role, value: .content})' "
                   "OLD.jsonl > NEW.jsonl");
    if (!turn_.from) return wrong(cat(name, " has no text 'from'"));
    if (!turn_.value) return wrong(cat(name, " has no text 'value'"));
    wrong(cat(name, ".from is '", *turn_.from, "'; allowed: human, user, system, gpt, assistant"));
  }

  void note_unread(const std::string* text) {
    if (text != nullptr && names_media(*text) && unread_.size() < 8) unread_.emplace_back(top_, *text);
  }

  struct Place {
    std::size_t kind, many;
  };
  std::optional<Place> media_key() const {
    for (std::size_t kind = 0; kind < kMediaKinds; ++kind)
      for (const std::size_t many : {0, 1})
        if (top_ == kMediaKeys[kind][many]) return Place{kind, many};
    return std::nullopt;
  }

  struct OpenTurn {
    std::optional<std::string> from, value;
    bool foreign = false;
  };

  Conversation out_;
  std::vector<const char*> stack_;  ///< kObject or kList
  std::string top_, field_;         ///< the key of the sample, and of its turn, whose value comes
  std::vector<std::string> keys_;
  OpenTurn turn_;
  std::size_t turns_ = 0;
  std::optional<std::string> system_;
  std::array<std::array<bool, 2>, kMediaKinds> listed_ = {};
  std::vector<std::pair<std::string, std::string>> unread_;
  std::optional<Error> broken_, problem_;
};

}  // namespace

Result<Conversation> read_conversation(std::string_view json) {
  Reader reader;
  Json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

}  // namespace cornstarch::dataio
