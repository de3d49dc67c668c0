#include "turn_reader.h"

#include <algorithm>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

struct RoleName {
  const char* name;
  Role role;
};
constexpr std::array kRoles = {RoleName{"human", Role::user},        RoleName{"user", Role::user},
                               RoleName{"system", Role::system},     RoleName{"developer", Role::system},
                               RoleName{"gpt", Role::assistant},     RoleName{"assistant", Role::assistant},
                               RoleName{"chatgpt", Role::assistant}, RoleName{"bing", Role::assistant},
                               RoleName{"bard", Role::assistant},    RoleName{"model", Role::assistant}};
constexpr std::array kToolRoles = {"tool",        "function", "function_call", "function_response",
                                   "observation", "ipython"};

/// A kind of part: what its type is called, and the keys that its text or its file stands under.
struct PartForm {
  const char* type;
  std::optional<MediaKind> media;
  std::array<const char*, 4> keys;
  bool bare = false;  ///< may take the next file of the sample's list
};
const std::array<PartForm, 8> kParts = {{
    {"text", std::nullopt, {"text"}},
    {"image", MediaKind::image, {"image", "path", "url", "image_url"}, true},
    {"image_url", MediaKind::image, {"image_url"}},
    {"audio", MediaKind::audio, {"audio", "path", "url", "audio_url"}, true},
    {"audio_url", MediaKind::audio, {"audio_url"}},
    {"input_audio", MediaKind::audio, {"input_audio"}},
    {"video", MediaKind::video, {"video", "path", "url", "video_url"}, true},
    {"video_url", MediaKind::video, {"video_url"}},
}};

template <class Names>
bool among(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string allowed_roles() {
  std::vector<std::string> names;
  for (const RoleName& role : kRoles) names.emplace_back(role.name);
  return join(names, ", ");
}

std::string allowed_parts() {
  std::vector<std::string> names;
  for (const PartForm& form : kParts) names.emplace_back(form.type);
  return join(names, ", ");
}

}  // namespace

void TurnReader::wrong(std::string what, std::string help) {
  if (!problem_) problem_ = Error{ExitCode::bad_data, std::move(what), std::move(help)};
}

void TurnReader::key(std::size_t depth, const std::string& key) {
  if (depth == 1) {
    key_ = key;
    in_parts_ = false;
  }
  if (depth == 3) {
    part_key_ = key;
    inner_key_.clear();
  }
  if (depth == 4) inner_key_ = key;
}

void TurnReader::value(std::size_t depth, const JsonEvent& event) {
  if (depth == 1) return field(event);
  if (key_ == "tool_calls") return wrong(cat(name_, ".tool_calls: calls of tools are not read"));
  if (!in_parts_) return;
  if (depth == 2) {
    ++parts_;
    if (event.kind != kObject) return wrong(cat(part_name(), " is ", event.kind, ", not an object"));
    part_.emplace();
  } else if (part_) {
    part_field(depth, event);
  }
}

/// Of a key that stands twice the last value holds.
void TurnReader::field(const JsonEvent& event) {
  if (key_ == "from" || key_ == "role") {
    from_key_ = key_;
    if (event.text != nullptr) from_ = std::move(*event.text);
  } else if (key_ == "value" || key_ == "content") {
    if (event.kind == kNull && text_) return;  // of the other key
    text_key_ = key_;
    text_.reset();
    files = {};
    bare = {};
    parts_ = 0;
    in_parts_ = event.kind == kList;
    if (in_parts_) text_.emplace();
    if (event.text != nullptr) add_text(cat(name_, ".", key_), *event.text);
  } else if (key_ == "weight" && event.kind != kNull) {
    if (event.number != 0.0 && event.number != 1.0)
      return wrong(cat(name_, ".weight is ", event.number ? cat(*event.number) : event.kind,
                       "; allowed: 0 (an answer that is not learnt), 1"));
    learnt_ = event.number == 1.0;
  } else if (key_ == "function_call" && event.kind != kNull) {
    wrong(cat(name_, ".function_call: calls of tools are not read"));
  }
}

void TurnReader::add_text(const std::string& place, std::string& text) {
  if (has_part_mark(text)) return wrong(cat(place, kHasMark));
  if (!text_) {
    text_ = std::move(text);
  } else {
    *text_ += text;
  }
}

void TurnReader::part_field(std::size_t depth, const JsonEvent& event) {
  if (event.text == nullptr || depth > 4) return;
  if (depth == 3 && part_key_ == "type") {
    part_->type = std::move(*event.text);
  } else if (depth == 3 || inner_key_ == "url" || inner_key_ == "path") {
    part_->fields.emplace_back(part_key_, std::move(*event.text));
  } else if (inner_key_ == "data") {
    part_->fields.emplace_back(part_key_, "data:;base64," + *event.text);
  }
}

void TurnReader::end(std::size_t depth) {
  if (depth == 3 && part_) end_part();
}

std::string TurnReader::part_name() const { return cat(name_, ".", text_key_, "[", parts_ - 1, "]"); }

void TurnReader::end_part() {
  const Part part = std::move(*part_);
  part_.reset();
  const std::string name = part_name();
  if (!part.type) return wrong(cat(name, " has no text 'type'; allowed: ", allowed_parts()));
  const auto form =
      std::find_if(kParts.begin(), kParts.end(), [&](const PartForm& f) { return *part.type == f.type; });
  if (form == kParts.end())
    return wrong(cat(name, ".type is '", *part.type, "'; allowed: ", allowed_parts()));
  const auto found = std::find_if(part.fields.rbegin(), part.fields.rend(), [&](const auto& field) {
    return std::any_of(form->keys.begin(), form->keys.end(),
                       [&](const char* key) { return key != nullptr && field.first == key; });
  });
  if (found == part.fields.rend() && !form->bare)
    return wrong(cat(name, " has no text '", form->keys[0], "'"));
  if (!form->media) {
    std::string text = found->second;
    return add_text(name, text);
  }
  const auto kind = static_cast<std::size_t>(*form->media);
  *text_ += kPartMarks[kind];
  if (found == part.fields.rend()) {
    ++bare[kind];
  } else {
    files[kind].push_back(found->second);
  }
}

Result<Role> TurnReader::role() const {
  const auto found =
      std::find_if(kRoles.begin(), kRoles.end(), [&](const RoleName& role) { return *from_ == role.name; });
  if (found != kRoles.end()) return found->role;
  const std::string what = cat(name_, ".", from_key_, " is '", *from_, "'; ");
  if (among(kToolRoles, *from_))
    return fail(ExitCode::bad_data, cat(what, "turns of tools are not read; allowed: ", allowed_roles()));
  return fail(ExitCode::bad_data, cat(what, "allowed: ", allowed_roles()));
}

Result<Turn> TurnReader::take() {
  if (problem_) return tl::unexpected(*problem_);
  // Of what is missing, the name that goes with what is there.
  const bool of_messages = (from_ && from_key_ == "role") || (text_ && text_key_ == "content");
  if (!from_)
    return fail(ExitCode::bad_data, cat(name_, " has no text '", of_messages ? "role" : "from", "'"));
  auto role = this->role();
  if (!role) return tl::unexpected(role.error());
  if (!text_)
    return fail(ExitCode::bad_data, cat(name_, " has no text '", of_messages ? "content" : "value", "'"));
  return Turn{*role, std::move(*text_), learnt_};
}

}  // namespace cornstarch::dataio
