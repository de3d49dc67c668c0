#include "shard.h"

#include <algorithm>
#include <set>

#include "cornstarch/base/text.h"
#include "data_url.h"
#include "media_names.h"
#include "sample_index.h"
#include "unicode.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kMostMembers = 65'000;

std::string_view extension_of(const TarMember& member) { return shard_name(member.name)->extension; }

std::string_view last_part(std::string_view name) { return name.substr(name.rfind('/') + 1); }

std::vector<std::string> members_of(const ShardSample& sample, MediaKind kind) {
  std::vector<std::string> names;
  for (const TarMember& member : sample.members)
    if (media_kind_of(member.name) == kind) names.push_back(member.name);
  return names;
}

/// The member that a sample calls `name`: wholly, by its last part, or by what follows the key.
const TarMember* find_member(const ShardSample& sample, std::string_view name) {
  if (name.starts_with("./")) name.remove_prefix(2);
  const std::string_view extension = name.starts_with('.') ? name.substr(1) : name;
  if (const auto* found = sample.named(name)) return found;
  const auto last = std::find_if(sample.members.begin(), sample.members.end(),
                                 [&](const TarMember& m) { return last_part(m.name) == name; });
  return last != sample.members.end() ? &*last : sample.with_extension(extension);
}

Result<void> resolve(const ShardSample& sample, std::vector<std::string>& files, MediaKind kind) {
  if (files.empty()) files = members_of(sample, kind);
  for (std::string& name : files) {
    if (is_data_url(name)) continue;
    const TarMember* member = find_member(sample, name);
    if (member != nullptr) {
      name = member->name;
      continue;
    }
    std::vector<std::string> there;
    for (const TarMember& each : sample.members) there.emplace_back(extension_of(each));
    return fail(
        ExitCode::bad_data, cat("'", name, "' is no member of the sample, which has: ", join(there, ", ")),
        "name a member by what follows the key ('jpg'), or name none: then all are taken in their order");
  }
  return {};
}

std::string content(const TarMember& member, const DataFile& file) {
  return file.text(member.begin, static_cast<std::size_t>(member.size));
}

Result<Conversation> captioned(const std::string& caption) {
  if (has_part_mark(caption)) return fail(ExitCode::bad_data, cat("the .txt", kHasMark));
  if (!is_utf8(caption)) return fail(ExitCode::bad_data, "the .txt is no UTF-8 text");
  Conversation out;
  out.turns = {{Role::user, {}}, {Role::assistant, std::string(trim(caption))}};
  return out;
}

}  // namespace

std::optional<ShardName> shard_name(std::string_view name) {
  const std::size_t last = name.rfind('/') + 1;
  const std::size_t dot = name.find('.', last);
  if (dot == std::string_view::npos || dot == last || dot + 1 == name.size()) return std::nullopt;
  return ShardName{name.substr(0, dot), name.substr(dot + 1)};
}

const TarMember* ShardSample::with_extension(std::string_view extension) const {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const TarMember& m) { return extension_of(m) == extension; });
  return found == members.end() ? nullptr : &*found;
}

const TarMember* ShardSample::named(std::string_view name) const {
  const auto found =
      std::find_if(members.begin(), members.end(), [&](const TarMember& m) { return m.name == name; });
  return found == members.end() ? nullptr : &*found;
}

Result<std::optional<ShardSample>> ShardReader::next() {
  std::optional<ShardSample> sample;
  while (true) {
    std::optional<TarMember> member = std::exchange(held_, std::nullopt);
    if (!member) {
      auto read = tar_.next();
      if (!read) return tl::unexpected(read.error());
      member = std::move(*read);
    }
    if (!member) return sample;
    const auto name = shard_name(member->name);
    if (!name) {
      ++unkeyed_;
      continue;
    }
    if (sample && sample->key != name->key) {
      held_ = std::move(member);
      return sample;
    }
    if (!sample) sample.emplace().key = name->key;
    if (sample->members.size() == kMostMembers)
      return fail(ExitCode::bad_data, cat("'", sample->key, "' has more than ", kMostMembers, " members"));
    sample->members.push_back(std::move(*member));
  }
}

Result<Conversation> read_shard_sample(const ShardSample& sample, const DataFile& file) {
  std::set<std::string_view> names;
  for (const TarMember& member : sample.members)
    if (!names.insert(member.name).second)
      return fail(ExitCode::bad_data, cat("the sample has '", member.name, "' twice"));
  bool has_turns = false;
  Result<Conversation> out =
      fail(ExitCode::bad_data, "the sample has neither a .json nor a .txt",
           "a sample of a shard is KEY.json, a conversation, or KEY.txt, a caption, beside "
           "KEY.jpg, KEY.wav, ...");
  const TarMember *json = sample.with_extension("json"), *txt = sample.with_extension("txt");
  for (const TarMember* text : {json, txt})
    if (text != nullptr && text->size > static_cast<std::int64_t>(kMaxSampleBytes))
      return fail(ExitCode::bad_data,
                  cat("'", text->name, "' is longer than ", human_bytes(static_cast<double>(kMaxSampleBytes)),
                      ", the most that is read"));
  if (json != nullptr) out = read_conversation(content(*json, file), &has_turns);
  const bool caption = txt != nullptr && !has_turns;
  if (caption) out = captioned(content(*txt, file));
  if (!out) return out;
  for (std::size_t kind = 0; kind < kMediaKinds; ++kind) {
    auto done = resolve(sample, out->files[kind], static_cast<MediaKind>(kind));
    if (!done) return tl::unexpected(done.error());
    if (!caption) continue;
    for (std::size_t i = 0; i < out->files[kind].size(); ++i) out->turns[0].text += kPartMarks[kind];
  }
  return out;
}

}  // namespace cornstarch::dataio
