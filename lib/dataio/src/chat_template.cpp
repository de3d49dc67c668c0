#include "chat_template.h"

#include <map>
#include <optional>

namespace cornstarch::dataio {
namespace {

class RowBuilder {
 public:
  RowBuilder(const Tokenizer& tokenizer, const std::vector<MediaSource>& media)
      : tokenizer_(tokenizer), media_(media) {}

  void add(std::int64_t id, bool learn) {
    row_.ids.push_back(id);
    row_.labels.push_back(learn ? id : kIgnoreLabel);
  }

  Result<void> add_text(std::string_view text, bool learn) {
    for (const Stretch& stretch : cut_at_placeholders(text, media_)) {
      if (stretch.encoder >= 0) {
        const auto features = media_[static_cast<std::size_t>(stretch.encoder)].features_per_item;
        for (std::int64_t i = 0; i < features; ++i) add(placeholder_id(stretch.encoder), false);
        continue;
      }
      auto ids = tokenizer_.encode(stretch.text);
      if (!ids) return tl::unexpected(ids.error());
      for (const std::int64_t id : *ids) add(id, learn);
    }
    return {};
  }

  TextRow take() {
    row_.length = std::ssize(row_.ids);
    return std::move(row_);
  }

 private:
  const Tokenizer& tokenizer_;
  const std::vector<MediaSource>& media_;
  TextRow row_;
};

/// [begin] question \n answer [end] question \n answer [end]. Without an end token a newline ends the
/// answers.
Result<TextRow> plain(const Conversation& conversation, std::size_t turns, const Tokenizer& tokenizer,
                      const std::vector<MediaSource>& media) {
  RowBuilder row(tokenizer, media);
  if (const auto begin = tokenizer.begin_id()) row.add(*begin, false);
  const auto end = tokenizer.end_id();
  for (std::size_t i = 0; i < turns; ++i) {
    const Turn& turn = conversation.turns[i];
    const bool newline = !turn.learn || !end;
    auto done = row.add_text(newline ? turn.text + "\n" : turn.text, turn.learn);
    if (!done) return tl::unexpected(done.error());
    if (!newline) row.add(*end, true);
  }
  return row.take();
}

const std::map<std::string, ChatTemplate>& all() {
  static const std::map<std::string, ChatTemplate> templates = {{"plain", plain}};
  return templates;
}

}  // namespace

ChatTemplate find_chat_template(const std::string& name) {
  const auto it = all().find(name);
  return it == all().end() ? nullptr : it->second;
}

std::vector<std::string> chat_templates() {
  std::vector<std::string> names;
  for (const auto& [name, function] : all()) names.push_back(name);
  return names;
}

}  // namespace cornstarch::dataio
