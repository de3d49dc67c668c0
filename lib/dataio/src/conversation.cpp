#include "conversation.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "index_format.h"

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

bool has_part_mark(std::string_view text) {
  return std::any_of(kPartMarks.begin(), kPartMarks.end(),
                     [&](std::string_view mark) { return text.find(mark) != std::string_view::npos; });
}

bool Conversation::has_answer() const {
  return std::any_of(turns.begin(), turns.end(), [](const Turn& turn) { return turn.learn(); });
}

std::uint64_t identity_of(const Conversation& conversation) {
  std::string said;
  const auto add = [&](std::string_view text) {
    said += std::to_string(text.size());
    said += ':';
    said += text;
  };
  for (const Turn& turn : conversation.turns) {
    said += turn.learn() ? 'L' : "sua"[static_cast<int>(turn.role)];
    add(turn.text);
  }
  for (const auto& files : conversation.files) {
    said += 'f';
    for (const std::string& file : files) add(file);
  }
  return index_hash(said);
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
  std::vector<std::string> marks = placeholders_of(media);
  marks.insert(marks.end(), kPartMarks.begin(), kPartMarks.end());
  std::vector<Stretch> stretches = cut_at_placeholders(text, marks);
  for (Stretch& stretch : stretches) {
    if (stretch.encoder < std::ssize(media)) continue;
    const auto kind = static_cast<MediaKind>(stretch.encoder - std::ssize(media));
    const auto taker =
        std::find_if(media.begin(), media.end(), [&](const auto& m) { return m.kind == kind; });
    stretch.encoder = taker == media.end() ? -1 : static_cast<int>(taker - media.begin());
  }
  return stretches;
}

std::optional<std::size_t> encoder_of_parts(MediaKind kind, const std::vector<MediaSource>& media) {
  std::optional<std::size_t> found;
  for (std::size_t e = 0; e < media.size(); ++e) {
    if (media[e].kind != kind) continue;
    if (found) return std::nullopt;
    found = e;
  }
  return found;
}

Result<std::vector<int>> assign_files(const Conversation& conversation, MediaKind kind,
                                      const std::vector<MediaSource>& media) {
  const std::string_view mark = kPartMarks[static_cast<std::size_t>(kind)];
  std::vector<int> encoders;
  std::size_t parts = 0;
  for (const Turn& turn : conversation.turns) {
    for (const Stretch& stretch : cut_at_placeholders(turn.text, media)) {
      if (stretch.encoder >= 0 && media[static_cast<std::size_t>(stretch.encoder)].kind == kind)
        encoders.push_back(stretch.encoder);
    }
    for (std::size_t at = turn.text.find(mark); at != std::string::npos; at = turn.text.find(mark, at + 1))
      ++parts;
  }
  const std::size_t listed = conversation.of(kind).size();
  const char* name = kNames[static_cast<std::size_t>(kind)];
  std::vector<std::string> own;
  for (const MediaSource& source : media)
    if (source.kind == kind) own.push_back(source.placeholder);
  if (parts > 0 && own.size() > 1)
    return fail(
        ExitCode::bad_data,
        cat("parts of type '", name, "' do not say which encoder takes them: ", quoted(own)),
        cat("write the encoder's placeholder into the text where a part stands, and list the files under '",
            name, "s'"));
  if (encoders.size() == listed && (parts == 0 || !own.empty())) return encoders;
  if (own.empty())
    return fail(ExitCode::bad_data, parts > 0
                                        ? cat("the sample has ", parts, " parts of type '", name,
                                              "', but no encoder of the model takes ", name, " files")
                                        : cat("'", name, "' lists ", listed,
                                              " files, but no encoder of the model takes ", name, " files"));
  if (parts > 0)
    return fail(ExitCode::bad_data,
                cat("the sample has ", parts, " parts of type '", name, "' and ", encoders.size() - parts,
                    " placeholders (", quoted(own), ") in its text, but ", listed, " ", name, " files"),
                "each part and each placeholder takes one file: that which the part names, or else the next "
                "of the list");
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
