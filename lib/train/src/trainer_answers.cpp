#include <algorithm>

#include "cornstarch/base/log.h"
#include "cornstarch/catalog/token_ids.h"
#include "cornstarch/launch/stop.h"
#include "cornstarch/telemetry/progress.h"
#include "trainer_impl.h"

namespace cornstarch::train {
namespace {

std::int64_t features_in(const dataio::TextRow& row) {
  return std::count_if(row.ids.begin(), row.ids.end(), catalog::is_placeholder);
}

/// Label of the one place whose next token is wanted. Which one makes no difference.
constexpr std::int64_t kWanted = 0;

/// Room for what is said, and the mark where that begins.
void open_row(dataio::TextRow& row, std::int64_t length, std::int64_t pad_id) {
  row.ids.resize(static_cast<std::size_t>(length), pad_id);
  row.labels.assign(static_cast<std::size_t>(length), dataio::kIgnoreLabel);
  row.labels[static_cast<std::size_t>(row.length)] = kWanted;
}

void add_token(dataio::TextRow& row, std::int64_t id) {
  const auto at = static_cast<std::size_t>(row.length++);
  row.ids[at] = id;
  row.labels[at] = dataio::kIgnoreLabel;
  if (at + 1 < row.labels.size()) row.labels[at + 1] = kWanted;
}

}  // namespace

/// Samples from `first` on as a global batch, each a row of its own: to each replica in turn, so that none
/// has many.
std::vector<std::int64_t> Trainer::Impl::dealt(std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(rows_per_step), -1);
  for (std::int64_t i = 0; i < std::min(rows_per_step, count - first); ++i)
    samples[static_cast<std::size_t>(block_of(plan, static_cast<int>(i % plan.dp)).begin + i / plan.dp)] =
        first + i;
  return samples;
}

/// Of samples what they ask. One that asks nothing, leaves no room for an answer, or has media behind its
/// question, is bad.
void Trainer::Impl::cut_to_questions(RankBatch& batch) const {
  for (std::size_t at = 0; at < batch.rows.size(); ++at) {
    const std::size_t in_batch = static_cast<std::size_t>(batch.block.begin) + at;
    if (batch.global.samples[in_batch] < 0 || batch.bad[in_batch] != 0) continue;
    auto question = eval_data->question(batch.global.samples[in_batch]);
    if (!question || features_in(question->prompt) != features_in(batch.rows[at])) {
      batch.bad[in_batch] = 1;
      continue;
    }
    batch.rows[at] = std::move(question->prompt);
    open_row(batch.rows[at], plan.sequence_length, eval_data->pad_id());
  }
}

/// What ranks know alone: which samples are bad, and `told`. Returns whether the run goes on.
bool Trainer::Impl::share_answers(std::vector<double>& bad, std::vector<double>& told) {
  Report report;
  report.next_bad = bad;
  if (speaks_for_replica()) report.told = told;
  report.told.resize(static_cast<std::size_t>(rows_per_step));
  report.add_stop(launch::stop_requested());
  take(report, report.start(*world, device));
  bad = std::move(report.next_bad);
  told = std::move(report.told);
  ending.signal = report.stop_signal();
  return ending.signal == 0;
}

/// The text of a sample of the global batch, where this rank has it.
dataio::TextRow* Trainer::Impl::row_of(Asking& asking, std::size_t sample) const {
  const std::int64_t at = static_cast<std::int64_t>(sample) - asking.batch.block.begin;
  return at < 0 || at >= std::ssize(asking.batch.rows) ? nullptr
                                                       : &asking.batch.rows[static_cast<std::size_t>(at)];
}

/// Learns which samples can be answered, and with how many tokens. Returns whether the run goes on.
bool Trainer::Impl::begin_answers(Asking& asking) {
  const std::vector<std::int64_t>& samples = asking.batch.global.samples;
  asking.room.assign(samples.size(), 0);
  for (std::size_t i = 0; i < samples.size(); ++i)
    if (const auto* row = row_of(asking, i))
      asking.room[i] = static_cast<double>(plan.sequence_length - row->length);
  if (!share_answers(asking.batch.bad, asking.room)) return false;
  asking.silent = asking.batch.bad;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    asking.answers.push_back({samples[i]});
    if (samples[i] < 0) asking.silent[i] = 1;
  }
  return true;
}

/// One more token of each answer under way: a pass over all that has been said so far, by the program that
/// measures, whose last stage says what is likeliest. Returns whether the run goes on.
bool Trainer::Impl::add_tokens(Asking& asking) {
  begin({}, 0, "answering");
  RankBatch batch = asking.batch;
  batch.bad = asking.silent;
  place_rows(batch, plan, modalities, config.data.num_workers);
  const Step inputs = to_step(std::move(batch), *eval_data);
  const at::Tensor said =
      executor.evaluate(inputs.activity, inputs.anyone, inputs.inputs).said.cpu().flatten();
  std::vector<double> next(asking.silent.size()), none(next.size());
  if (speaks_for_replica())
    std::copy_n(said.const_data_ptr<double>(), said.numel(), next.begin() + asking.batch.block.begin);
  if (!share_answers(none, next)) return false;
  for (std::size_t i = 0; i < next.size(); ++i)
    if (asking.silent[i] == 0) hear(asking, i, static_cast<std::int64_t>(next[i]));
  return true;
}

void Trainer::Impl::hear(Asking& asking, std::size_t sample, std::int64_t id) const {
  HeldOutAnswer& answer = asking.answers[sample];
  const bool ends = answer_ends.contains(id);
  if (!ends) {
    answer.ids.push_back(id);
    if (auto* row = row_of(asking, sample)) add_token(*row, id);
    const auto tokens = std::ssize(answer.ids);
    answer.cut_off =
        tokens == config.eval.generate_tokens || static_cast<double>(tokens) == asking.room[sample];
  }
  if (ends || answer.cut_off) asking.silent[sample] = 1;
}

/// In the order of the samples; nothing if any rank was asked to stop meanwhile.
std::vector<HeldOutAnswer> Trainer::Impl::answer_held_out(std::int64_t count) {
  std::vector<HeldOutAnswer> answers;
  if (count == 0) return answers;
  const telemetry::Progress answering("answering held-out questions");
  held_out.emplace(
      [this, count](std::int64_t batch) {
        log::set_rank(comm->rank());
        RankBatch questions = read(*eval_data, {dealt(batch * rows_per_step, count)});
        questions.leaves_out_empty = true;
        cut_to_questions(questions);
        return questions;
      },
      0, (count + rows_per_step - 1) / rows_per_step, 1, data_deadline());
  for (std::int64_t first = 0; first < count; first += rows_per_step) {
    Asking asking{held_out->next()};
    if (!begin_answers(asking)) return {};
    while (std::ranges::any_of(asking.silent, [](double silent) { return silent == 0; }))
      if (!add_tokens(asking)) return {};
    for (std::size_t i = 0; i < asking.answers.size(); ++i)
      if (asking.answers[i].sample >= 0 && asking.batch.bad[i] == 0)
        answers.push_back(std::move(asking.answers[i]));
  }
  held_out.reset();
  std::ranges::sort(answers, {}, &HeldOutAnswer::sample);
  return answers;
}

}  // namespace cornstarch::train
