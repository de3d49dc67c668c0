#include "row_builder.h"

#include <algorithm>
#include <deque>

#include "conversation.h"
#include "cornstarch/base/text.h"

namespace cornstarch::dataio {
namespace {

/// The encoders of items in the order in which the turns have them, each taken where a template writes its
/// mark.
class Wanted {
 public:
  Wanted(std::span<const Turn> turns, const ChatForm& form) : form_(form) {
    for (const Turn& turn : turns)
      for (const Stretch& stretch : cut_at_placeholders(turn.text, form.media()))
        if (stretch.encoder >= 0) encoders_.push_back(static_cast<std::size_t>(stretch.encoder));
  }

  /// The first that has this mark, and whether there is one.
  std::optional<std::size_t> take(const std::string& mark) {
    const auto it =
        std::find_if(encoders_.begin(), encoders_.end(), [&](std::size_t e) { return mark_of(e) == mark; });
    if (it == encoders_.end()) return std::nullopt;
    const std::size_t encoder = *it;
    encoders_.erase(it);
    return encoder;
  }
  /// The mark of one that is left.
  const std::string* left() const { return encoders_.empty() ? nullptr : &mark_of(encoders_.front()); }

 private:
  const std::string& mark_of(std::size_t encoder) const { return form_.marks()[encoder].text; }

  const ChatForm& form_;
  std::deque<std::size_t> encoders_;
};

std::vector<std::string> marks_of(const ChatForm& form) {
  std::vector<std::string> out;
  for (const MediaMark& mark : form.marks()) out.push_back(mark.text);
  return out;
}

tl::unexpected<Error> other_count(const std::string& mark, const char* what) {
  return fail(ExitCode::bad_data, cat("the chat template writes '", mark, "', where an item's features go, ",
                                      what, " the conversation has items"));
}

}  // namespace

RowBuilder::RowBuilder(const ChatForm& form, const Tokenizer& tokenizer, const SampleExtents& items)
    : form_(form), tokenizer_(tokenizer), items_(items), next_(items.size(), 0) {}

void RowBuilder::begin(bool learn) {
  if (tokenizer_.adds_begin()) add(*tokenizer_.begin_id(), learn);
}

Result<void> RowBuilder::add(std::span<const Turn> turns, const Written& written) {
  Wanted wanted(turns, form_);
  auto learnt = written.learnt.begin();
  const auto add_stretch = [&](std::size_t from, std::size_t to) {
    while (from < to) {
      while (learnt != written.learnt.end() && learnt->second <= from) ++learnt;
      const bool learn = learnt != written.learnt.end() && learnt->first <= from;
      const std::size_t until = learnt == written.learnt.end() ? to : learn ? learnt->second : learnt->first;
      const std::size_t end = std::min(until, to);
      add_text(std::string_view(written.text).substr(from, end - from), learn);
      from = end;
    }
  };
  const std::vector<std::string> marks = marks_of(form_);
  for (const Stretch& stretch : cut_at_placeholders(written.text, marks)) {
    const auto from = static_cast<std::size_t>(stretch.text.data() - written.text.data());
    if (stretch.encoder < 0) {
      add_stretch(from, from + stretch.text.size());
      continue;
    }
    const std::string& mark = marks[static_cast<std::size_t>(stretch.encoder)];
    const auto encoder = wanted.take(mark);
    if (!encoder) return other_count(mark, "more often than");
    if (auto done = add_item(*encoder); !done) return done;
  }
  if (const std::string* mark = wanted.left()) return other_count(*mark, "less often than");
  auto done = flush();
  begins_ = true;
  return done;
}

Result<void> RowBuilder::add_item(std::size_t encoder) {
  const MediaMark& mark = form_.marks()[encoder];
  add_text(mark.before, false);
  auto done = flush();
  if (!done) return done;
  const std::int64_t features = form_.media()[encoder].features(items_.at(encoder).at(next_.at(encoder)++));
  for (std::int64_t i = 0; i < features; ++i) add(placeholder_id(static_cast<int>(encoder)), false);
  begins_ = false;
  add_text(mark.after, false);
  return {};
}

void RowBuilder::add_text(std::string_view text, bool learn) {
  if (!text.empty()) spans_.push_back({std::string(text), learn});
}

Result<void> RowBuilder::flush() {
  if (spans_.empty()) return {};
  auto encoded = tokenizer_.encode(spans_, begins_);
  if (!encoded) return tl::unexpected(encoded.error());
  for (std::size_t i = 0; i < encoded->ids.size(); ++i) add(encoded->ids[i], encoded->marks[i]);
  spans_.clear();
  begins_ = false;
  return {};
}

void RowBuilder::add(std::int64_t id, bool learn) {
  row_.ids.push_back(id);
  row_.labels.push_back(learn ? id : kIgnoreLabel);
}

TextRow RowBuilder::take() {
  row_.length = std::ssize(row_.ids);
  return std::move(row_);
}

}  // namespace cornstarch::dataio
