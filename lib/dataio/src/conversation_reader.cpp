#include <algorithm>
#include <optional>

#include "conversation.h"
#include "cornstarch/base/text.h"
#include "json_text.h"
#include "media_names.h"
#include "turn_reader.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kTurnDepth = 3;                      // of a turn's keys
constexpr std::size_t kMaxDepth = 64, kMaxFiles = 65'000;  // which an index can count

/// The keys that list turns.
constexpr std::array<const char*, 2> kTurnKeys = {"conversations", "messages"};

/// The keys that list media, by MediaKind: one path, or several.
constexpr std::array<std::array<const char*, 2>, kMediaKinds> kMediaKeys = {
    {{"image", "images"}, {"audio", "audios"}, {"video", "videos"}}};

/// "a/b.PNG", "data:image/png;base64,..."
bool names_media(const std::string& text) {
  if (text.starts_with("data:image/") || text.starts_with("data:audio/") || text.starts_with("data:video/"))
    return true;
  return media_kind_of(text).has_value();
}

/// What to say of a sample without conversations, by the keys that it has.
Error other_form(const std::vector<std::string>& keys) {
  const auto has = [&](const char* key) { return std::find(keys.begin(), keys.end(), key) != keys.end(); };
  if (has("instruction") && (has("output") || has("response")))
    return {
        ExitCode::bad_data,
        "the sample has 'instruction' (Alpaca's form), but no list 'conversations' or 'messages' of turns",
        "turn it into LLaVA's form: jq -c '{conversations: [{from: \"human\", value: ([.instruction, .input] "
        "| map(select(. != null and . != \"\")) | join(\"\\n\"))}, {from: \"gpt\", value: (.output // "
        ".response)}]}' OLD.jsonl > NEW.jsonl"};
  return {
      ExitCode::bad_data, "the sample has no list 'conversations' or 'messages' of turns",
      "a sample is {\"conversations\": [{\"from\": \"human\", \"value\": ...}, {\"from\": \"gpt\", "
      "\"value\": ...}], \"image\": PATH}, or {\"messages\": [{\"role\": \"user\", \"content\": ...}, ...]}"};
}

/// Keeps what a sample says while its text is walked through: memory follows what is kept, not what is
/// written. Of what is wrong it keeps the first.
class Reader : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return value({kNull}); }
  bool boolean(bool) override { return value({"true or false"}); }
  bool number_integer(number_integer_t n) override { return number(static_cast<double>(n)); }
  bool number_unsigned(number_unsigned_t n) override { return number(static_cast<double>(n)); }
  bool number_float(number_float_t n, const string_t&) override { return number(n); }
  bool binary(binary_t&) override { return value({"bytes"}); }
  bool string(string_t& text) override { return value({kString, &text}); }
  bool start_object(std::size_t) override { return open(kObject); }
  bool start_array(std::size_t) override { return open(kList); }

  bool key(string_t& name) override {
    if (depth() == 1) {
      top_ = name;
      if (keys_.size() < 64) keys_.push_back(name);
      forget();
    }
    if (turn_) turn_->key(depth() - kTurnDepth + 1, name);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    broken_ = json_problem(error);
    return false;
  }

  /// What is no JSON may have meant to.
  bool claims_turns() const {
    return broken_ || std::any_of(keys_.begin(), keys_.end(), [](const std::string& key) {
             return std::find(kTurnKeys.begin(), kTurnKeys.end(), key) != kTurnKeys.end();
           });
  }

  Result<Conversation> take() {
    if (broken_) return tl::unexpected(*broken_);
    if (problem_) return tl::unexpected(*problem_);
    if (out_.turns.empty()) return tl::unexpected(other_form(keys_));
    if (turns_[0] > 0 && turns_[1] > 0)
      return fail(ExitCode::bad_data, cat("both '", kTurnKeys[0], "' and '", kTurnKeys[1], "'"));
    if (system_) {
      if (out_.turns.front().role == Role::system)
        return fail(ExitCode::bad_data, "both 'system' and a first turn from 'system'");
      out_.turns.insert(out_.turns.begin(), Turn{Role::system, std::move(*system_)});
    }
    for (std::size_t kind = 0; kind < kMediaKinds; ++kind) {
      if (listed_[kind][0] && listed_[kind][1])
        return fail(ExitCode::bad_data,
                    cat("both '", kMediaKeys[kind][0], "' and '", kMediaKeys[kind][1], "'"));
      if (auto taken = take_parts(kind); !taken) return tl::unexpected(taken.error());
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
  /// The list of turns whose elements come, or nothing.
  std::optional<std::size_t> turns_key() const {
    for (std::size_t key = 0; key < kTurnKeys.size(); ++key)
      if (top_ == kTurnKeys[key]) return key;
    return std::nullopt;
  }

  /// Of a key that stands twice the last value holds.
  void forget() {
    if (const auto key = turns_key()) {
      if (turns_[*key] > 0) {
        out_.turns.clear();
        named_ = {};
        bare_ = {};
      }
      turns_[*key] = 0;
    }
    if (const auto place = media_key()) out_.files[place->kind].clear();
  }

  void wrong(std::string what, std::string help = {}) {
    if (!problem_) problem_ = Error{ExitCode::bad_data, std::move(what), std::move(help)};
  }

  bool open(std::string_view kind) {
    value({kind});
    stack_.push_back(kind);
    if (depth() <= kMaxDepth) return true;
    broken_ = Error{ExitCode::bad_data, cat("JSON nested deeper than ", kMaxDepth, " levels"), {}};
    return false;
  }

  bool close() {
    if (turn_) turn_->end(depth() - kTurnDepth + 1);
    if (turn_ && depth() == kTurnDepth) end_turn();
    stack_.pop_back();
    return true;
  }

  bool number(double n) { return value({"a number", nullptr, n}); }

  /// Any value, at its start.
  bool value(const JsonEvent& event) {
    if (depth() == 0) {
      if (event.kind != kObject) wrong(cat("the sample is ", event.kind, ", not an object"));
    } else if (stack_[0] != kObject) {
      return true;
    } else if (turn_) {
      turn_->value(depth() - kTurnDepth + 1, event);
    } else if (depth() == 1) {
      top_value(event.kind, event.text);
    } else if (depth() == 2 && stack_[1] == kList && turns_key()) {
      begin_turn(event);
    } else if (depth() == 2 && stack_[1] == kList) {
      listed_value(event.kind, event.text);
    }
    return true;
  }

  void begin_turn(const JsonEvent& event) {
    const std::string name = cat(top_, "[", turns_[*turns_key()]++, "]");
    if (event.kind == kObject) {
      turn_.emplace(name);
    } else {
      wrong(cat(name, " is ", event.kind, ", not an object"));
    }
  }

  void top_value(std::string_view kind, std::string* text) {
    if (top_ == "system" && kind != kNull) {
      if (text == nullptr) return wrong(cat("'system' must be text, not ", kind));
      if (has_part_mark(*text)) return wrong(cat("'system'", kHasMark));
      if (!text->empty()) system_ = std::move(*text);
      return;
    }
    const auto place = media_key();
    if (!place) return note_unread(text);
    if (kind == kNull) return;
    listed_[place->kind][place->many] = true;
    if (text != nullptr) {
      add_file(place->kind, *text, out_.files[place->kind]);
    } else if (kind != kList) {
      wrong(cat("'", top_, "' must be a path or a list of paths, not ", kind));
    }
  }

  void listed_value(std::string_view kind, std::string* text) {
    const auto place = media_key();
    if (!place) return note_unread(text);
    if (text == nullptr) return wrong(cat("'", top_, "' must list paths, not ", kind));
    add_file(place->kind, *text, out_.files[place->kind]);
  }

  void add_file(std::size_t kind, std::string& name, std::vector<std::string>& files) {
    if (files.size() == kMaxFiles) return wrong(cat("'", top_, "' lists more than ", kMaxFiles, " files"));
    if (name.substr(0, 16).find("://") != std::string::npos)
      return wrong(cat("the ", kMediaKeys[kind][0], " file '", name.substr(0, 200), "' is not fetched"),
                   "media are files beside the data, or data: URLs: download it, and name the file");
    files.push_back(std::move(name));
  }

  void end_turn() {
    auto turn = turn_->take();
    if (turn) {
      out_.turns.push_back(std::move(*turn));
      for (std::size_t kind = 0; kind < kMediaKinds; ++kind) {
        for (std::string& file : turn_->files[kind]) add_file(kind, file, named_[kind]);
        bare_[kind] += turn_->bare[kind];
      }
    } else if (!problem_) {
      problem_ = turn.error();
    }
    turn_.reset();
  }

  /// The files of a kind stand in the sample's list, or in its parts.
  Result<void> take_parts(std::size_t kind) {
    if (named_[kind].empty()) return {};
    const char* name = kMediaKeys[kind][0];
    if (!out_.files[kind].empty())
      return fail(ExitCode::bad_data, cat("both '", kMediaKeys[kind][listed_[kind][0] ? 0 : 1],
                                          "' and parts of type '", name, "' name files"));
    if (bare_[kind] > 0)
      return fail(ExitCode::bad_data,
                  cat("of the parts of type '", name, "' some name a file and some do not"));
    out_.files[kind] = std::move(named_[kind]);
    return {};
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

  Conversation out_;
  std::vector<std::string_view> stack_;  ///< kObject or kList
  std::string top_;                      ///< the key of the sample whose value comes
  std::vector<std::string> keys_;
  std::optional<TurnReader> turn_;                           ///< that is being read
  std::array<std::size_t, kTurnKeys.size()> turns_ = {};     ///< begun, by the key that lists them
  std::array<std::vector<std::string>, kMediaKinds> named_;  ///< by parts
  std::array<std::size_t, kMediaKinds> bare_ = {};           ///< parts that name nothing
  std::optional<std::string> system_;
  std::array<std::array<bool, 2>, kMediaKinds> listed_ = {};
  std::vector<std::pair<std::string, std::string>> unread_;
  std::optional<Error> broken_, problem_;
};

}  // namespace

Result<Conversation> read_conversation(std::string_view json, bool* has_turns) {
  Reader reader;
  Json::sax_parse(json.begin(), json.end(), &reader);
  if (has_turns != nullptr) *has_turns = reader.claims_turns();
  return reader.take();
}

}  // namespace cornstarch::dataio
