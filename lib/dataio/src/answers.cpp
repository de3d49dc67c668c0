#include "answers.h"

#include <algorithm>

#include "cornstarch/base/text.h"
#include "cornstarch/base/utf8.h"

namespace cornstarch::dataio {
namespace {

using config::TrainOn;
using Place = std::pair<std::size_t, std::size_t>;

std::vector<std::size_t> answers_of(std::span<const Turn> turns, TrainOn train_on) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (turns[i].learn()) out.push_back(i);
  if (train_on == TrainOn::last_answer && out.size() > 1) out.erase(out.begin(), out.end() - 1);
  return out;
}

constexpr const char* kMarkThem =
    "mark answers in the template with {% generation %} and {% endgeneration %}, or learn the last one only "
    "(data.train_on: last_answer)";

tl::unexpected<Error> cannot_tell(std::size_t turn, const char* end) {
  return fail(ExitCode::bad_data,
              cat("where the answer in turn ", turn + 1, " ", end,
                  " cannot be told: the chat template writes the conversation otherwise up to there"),
              kMarkThem);
}

/// Each answer that is looked for is one that all turns up to it are written for, twice: some seconds for
/// 1,000 turns.
constexpr std::size_t kMostLooks = 500'000;

tl::unexpected<Error> too_many(std::size_t answers, std::size_t turns) {
  return fail(ExitCode::bad_data,
              cat("the conversation has ", turns, " turns: too many to find ", answers,
                  " answers in what the chat template writes"),
              kMarkThem);
}

/// White space behind what ends an answer belongs to the template; where nothing else ends it, it does.
std::size_t end_of(std::string_view answer, const std::string& said) {
  std::string_view behind = trim_start(answer);
  const std::string_view text = trim_unicode(said);
  if (behind.starts_with(text)) behind.remove_prefix(text.size());
  return trim_unicode(behind).empty() ? answer.size() : trim_end(answer).size();
}

Result<Place> find_answer(const ChatForm& form, std::span<const Turn> turns, std::size_t i,
                          const std::string& whole) {
  const auto before = form.render(turns.first(i), true);
  if (!before) return tl::unexpected(before.error());
  const std::size_t begin = before->text.size();
  if (!whole.starts_with(before->text)) return cannot_tell(i, "begins");
  std::size_t end = whole.size();
  if (i + 1 < turns.size()) {
    const auto with = form.render(turns.first(i + 1), false);
    if (!with) return tl::unexpected(with.error());
    if (!whole.starts_with(with->text) || with->text.size() < begin) return cannot_tell(i, "ends");
    end = with->text.size();
  }
  return Place(begin, begin + end_of(std::string_view(whole).substr(begin, end - begin), turns[i].text));
}

/// Of the stretches that the template marks those of the answers that are learnt.
Result<Written> pick_marked(Written out, std::vector<Place> marked, std::span<const Turn> turns,
                            TrainOn train_on) {
  const std::vector<std::size_t> wanted = answers_of(turns, train_on);
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (turns[i].role == Role::assistant) all.push_back(i);
  if (marked.empty() && !all.empty())
    return fail(
        ExitCode::bad_data,
        cat("the chat template marks no stretch as an answer, though the conversation has ", all.size()),
        "{% generation %} in the template must be reached for each answer");
  if (wanted.size() == all.size()) {
    out.learnt = std::move(marked);
    return out;
  }
  if (marked.size() != all.size())
    return fail(ExitCode::bad_data,
                cat("which answer is which cannot be told: the chat template marks ", marked.size(),
                    " stretches as answers, the conversation has ", all.size()));
  for (std::size_t i = 0; i < all.size(); ++i)
    if (std::find(wanted.begin(), wanted.end(), all[i]) != wanted.end()) out.learnt.push_back(marked[i]);
  return out;
}

}  // namespace

Result<Written> write_row(const ChatForm& form, bool marks, std::span<const Turn> turns, TrainOn train_on) {
  auto made = form.render(turns, false);
  if (!made) return tl::unexpected(made.error());
  Written out{std::move(made->text)};
  if (train_on == TrainOn::all) {
    out.learnt.emplace_back(0, out.text.size());
    return out;
  }
  if (marks) return pick_marked(std::move(out), std::move(made->answers), turns, train_on);
  const std::vector<std::size_t> answers = answers_of(turns, train_on);
  if (answers.size() * turns.size() > kMostLooks) return too_many(answers.size(), turns.size());
  for (const std::size_t i : answers) {
    const auto answer = find_answer(form, turns, i, out.text);
    if (!answer) return tl::unexpected(answer.error());
    out.learnt.push_back(*answer);
  }
  return out;
}

}  // namespace cornstarch::dataio
