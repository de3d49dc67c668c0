#include "conversation.h"

#include <optional>

#include "cornstarch/base/text.h"
#include "json_text.h"

namespace cornstarch::dataio {
namespace {

struct Keys {
  const char* one;
  const char* many;
};
constexpr std::array<Keys, 2> kKeys = {{{"image", "images"}, {"audio", "audios"}}};

tl::unexpected<Error> wrong(const std::string& what) { return fail(ExitCode::bad_data, what); }

std::optional<Role> role_of(const std::string& from) {
  if (from == "gpt" || from == "assistant") return Role::assistant;
  if (from == "human" || from == "user") return Role::user;
  if (from == "system") return Role::system;
  return std::nullopt;
}

Result<Turn> read_turn(const Json& item, std::size_t index) {
  const std::string name = cat("conversations[", index, "]");
  if (!item.is_object()) return wrong(cat(name, " is ", kind_of(item), ", not an object"));
  const Json* from = find(item, "from");
  const Json* value = find(item, "value");
  if (from == nullptr || !from->is_string()) return wrong(cat(name, " has no text 'from'"));
  if (value == nullptr || !value->is_string()) return wrong(cat(name, " has no text 'value'"));
  const auto role = role_of(from->get_ref<const std::string&>());
  if (!role)
    return wrong(cat(name, ".from is '", from->get_ref<const std::string&>(),
                     "'; allowed: human, user, system, gpt, assistant"));
  return Turn{*role, value->get<std::string>()};
}

Result<std::vector<std::string>> read_files(const Json& sample, const Keys& keys) {
  const Json* one = find(sample, keys.one);
  const Json* many = find(sample, keys.many);
  if (one != nullptr && many != nullptr) return wrong(cat("both '", keys.one, "' and '", keys.many, "'"));
  const Json* value = one != nullptr ? one : many;
  const char* key = one != nullptr ? keys.one : keys.many;
  std::vector<std::string> files;
  if (value == nullptr) return files;
  const auto bad = [&](const Json& v) {
    return wrong(cat("'", key, "' must be a path or a list of paths, not ", kind_of(v)));
  };
  if (value->is_string()) return std::vector{value->get<std::string>()};
  if (!value->is_array()) return bad(*value);
  for (const Json& item : *value) {
    if (!item.is_string()) return wrong(cat("'", key, "' must list paths, not ", kind_of(item)));
    files.push_back(item.get<std::string>());
  }
  return files;
}

std::string quoted_placeholders(MediaKind kind, const std::vector<MediaSource>& media) {
  std::vector<std::string> names;
  for (const MediaSource& source : media) {
    if (source.kind == kind) names.push_back(cat("'", source.placeholder, "'"));
  }
  return join(names, ", ");
}

}  // namespace

Result<Conversation> read_conversation(std::string_view json) {
  auto sample = parse_json(json);
  if (!sample) return tl::unexpected(sample.error());
  if (!sample->is_object()) return wrong(cat("the sample is ", kind_of(*sample), ", not an object"));
  const Json* turns = find(*sample, "conversations");
  if (turns == nullptr || !turns->is_array() || turns->empty())
    return wrong("the sample has no list 'conversations' of turns");
  Conversation conversation;
  for (const Json& item : *turns) {
    auto turn = read_turn(item, conversation.turns.size());
    if (!turn) return tl::unexpected(turn.error());
    conversation.turns.push_back(std::move(*turn));
  }
  for (std::size_t kind = 0; kind < kKeys.size(); ++kind) {
    auto files = read_files(*sample, kKeys[kind]);
    if (!files) return tl::unexpected(files.error());
    conversation.files[kind] = std::move(*files);
  }
  return conversation;
}

std::vector<Stretch> cut_at_placeholders(std::string_view text, const std::vector<MediaSource>& media) {
  std::vector<Stretch> stretches;
  std::size_t done = 0;
  const auto keep_text = [&](std::size_t end) {
    if (done < end) stretches.push_back({-1, text.substr(done, end - done)});
  };
  for (std::size_t at = 0; at < text.size();) {
    int encoder = -1;
    std::size_t longest = 0;
    for (std::size_t e = 0; e < media.size(); ++e) {
      const std::string& placeholder = media[e].placeholder;
      if (placeholder.size() <= longest || !text.substr(at).starts_with(placeholder)) continue;
      encoder = static_cast<int>(e);
      longest = placeholder.size();
    }
    if (encoder < 0) {
      ++at;
      continue;
    }
    keep_text(at);
    stretches.push_back({encoder, text.substr(at, longest)});
    at += longest;
    done = at;
  }
  keep_text(text.size());
  return stretches;
}

Result<std::vector<int>> assign_files(const Conversation& conversation, MediaKind kind,
                                      const std::vector<MediaSource>& media) {
  std::vector<int> encoders;
  for (const Turn& turn : conversation.turns) {
    for (const Stretch& stretch : cut_at_placeholders(turn.text, media)) {
      if (stretch.encoder >= 0 && media[static_cast<std::size_t>(stretch.encoder)].kind == kind)
        encoders.push_back(stretch.encoder);
    }
  }
  const std::size_t listed = conversation.of(kind).size();
  if (encoders.size() == listed) return encoders;
  const Keys& keys = kKeys[static_cast<std::size_t>(kind)];
  const std::string names = quoted_placeholders(kind, media);
  if (names.empty())
    return wrong(cat("'", keys.one, "' lists ", listed, " files, but no encoder of the model takes ",
                     keys.one, " files"));
  return wrong(cat("the text has ", encoders.size(), " ", keys.one, " placeholders (", names, "), '",
                   keys.one, "' lists ", listed, " files"));
}

}  // namespace cornstarch::dataio
