#include "conversation.h"

#include <algorithm>

#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

constexpr std::array<const char*, kMediaKinds> kNames = {"image", "audio", "video"};

std::vector<std::string> placeholders_of(const std::vector<MediaSource>& media) {
  std::vector<std::string> out;
  for (const MediaSource& source : media) out.push_back(source.placeholder);
  return out;
}

std::string quoted(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names) out.push_back(cat("'", name, "'"));
  return join(out, ", ");
}

}  // namespace

bool Conversation::has_answer() const {
  return std::any_of(turns.begin(), turns.end(), [](const Turn& turn) { return turn.learn(); });
}

std::vector<Stretch> cut_at_placeholders(std::string_view text,
                                         const std::vector<std::string>& placeholders) {
  std::string first_letters;
  for (const std::string& placeholder : placeholders) first_letters += placeholder.substr(0, 1);
  std::vector<Stretch> stretches;
  std::size_t done = 0;
  const auto keep_text = [&](std::size_t end) {
    if (done < end) stretches.push_back({-1, text.substr(done, end - done)});
  };
  for (std::size_t at = text.find_first_of(first_letters); at < text.size();
       at = text.find_first_of(first_letters, at)) {
    int encoder = -1;
    std::size_t longest = 0;
    for (std::size_t e = 0; e < placeholders.size(); ++e) {
      if (placeholders[e].size() <= longest || !text.substr(at).starts_with(placeholders[e])) continue;
      encoder = static_cast<int>(e);
      longest = placeholders[e].size();
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

std::vector<Stretch> cut_at_placeholders(std::string_view text, const std::vector<MediaSource>& media) {
  return cut_at_placeholders(text, placeholders_of(media));
}

Result<std::vector<int>> assign_files(const Conversation& conversation, MediaKind kind,
                                      const std::vector<MediaSource>& media) {
  const std::vector<std::string> all = placeholders_of(media);
  std::vector<int> encoders;
  for (const Turn& turn : conversation.turns) {
    for (const Stretch& stretch : cut_at_placeholders(turn.text, all)) {
      if (stretch.encoder >= 0 && media[static_cast<std::size_t>(stretch.encoder)].kind == kind)
        encoders.push_back(stretch.encoder);
    }
  }
  const std::size_t listed = conversation.of(kind).size();
  if (encoders.size() == listed) return encoders;
  const char* name = kNames[static_cast<std::size_t>(kind)];
  std::vector<std::string> own;
  for (const MediaSource& source : media)
    if (source.kind == kind) own.push_back(source.placeholder);
  if (own.empty())
    return fail(ExitCode::bad_data, cat("'", name, "' lists ", listed,
                                        " files, but no encoder of the model takes ", name, " files"));
  std::string help;
  if (listed < encoders.size() && !conversation.unread.empty())
    help = cat("is ", quoted(conversation.unread), " meant? Nothing reads it: ", name,
               " files are listed under '", name, "' or '", name, "s'");
  if (encoders.empty())
    help = cat("the places of ", name, " files are marked in the text by ", quoted(own),
               "; another mark is set by model.encoders.<name>.placeholder");
  return fail(ExitCode::bad_data,
              cat("the text has ", encoders.size(), " ", name, " placeholders (", quoted(own), "), '", name,
                  "' lists ", listed, " files"),
              help);
}

}  // namespace cornstarch::dataio
