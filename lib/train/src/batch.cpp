#include "cornstarch/train/batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <span>

#include "cornstarch/base/checked.h"
#include "cornstarch/base/parallel.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/nn/dropout.h"
#include "cornstarch/nn/upload.h"
#include "cornstarch/plan/flops.h"
#include "placement.h"

namespace cornstarch::train {
namespace {

/// The samples of microbatch `m` of replica `dp`.
Range microbatch_of(const dataio::GlobalBatch& global, const plan::Plan& plan, int dp, int m) {
  const std::int64_t size = plan.microbatch_size;
  const std::int64_t row = block_of(plan, dp).begin + m * size;
  return {global.begin_of(row), global.begin_of(row + size)};
}

std::size_t numbers_in(const catalog::Modality& encoder, const catalog::Extents& item) {
  const std::int64_t one = checked_numel(encoder.spec.item_shape).value_or(0);
  return static_cast<std::size_t>(catalog::fixed_extents(encoder.spec) ? one : one * item.places());
}

/// Reads one sample's parts into place `at` of the block; returns what went wrong, or "".
std::string read_sample(RankBatch& out, const dataio::Dataset& dataset, std::int64_t sample, std::size_t at,
                        const Needs& needs, const catalog::Modalities& modalities) {
  auto extents = dataset.extents(sample);
  if (!extents) return extents.error().message;
  out.extents[at] = std::move(*extents);
  if (needs.text) {
    auto row = dataset.text(sample);
    if (!row) return row.error().message;
    out.rows[at] = std::move(*row);
  }
  for (std::size_t e = 0; e < needs.media.size(); ++e) {
    if (!needs.media[e]) continue;
    auto items = dataset.media(sample, static_cast<int>(e));
    if (!items) return items.error().message;
    const auto& wanted = out.extents[at][e];
    const bool fit = std::equal(items->begin(), items->end(), wanted.begin(), wanted.end(),
                                [&](const dataio::MediaItem& item, const catalog::Extents& seemed) {
                                  return item.values.size() == numbers_in(modalities[e], seemed);
                                });
    if (!fit) return cat(dataset.place(sample), ": its media are not of the size that they seemed to have");
    out.media[e][at] = std::move(*items);
  }
  return {};
}

int items_in(const std::vector<dataio::SampleInfo>& infos, std::size_t encoder, Range range) {
  int n = 0;
  for (auto i = range.begin; i < range.end; ++i) n += infos[static_cast<std::size_t>(i)].items[encoder];
  return n;
}

/// Per encoder and microbatch: the items of all replicas together.
std::vector<std::vector<int>> items_of_anyone(const std::vector<dataio::SampleInfo>& infos,
                                              const dataio::GlobalBatch& global, const plan::Plan& plan,
                                              std::size_t encoders) {
  std::vector<std::vector<int>> items(encoders,
                                      std::vector<int>(static_cast<std::size_t>(plan.num_microbatches), 0));
  for (std::size_t e = 0; e < encoders; ++e)
    for (int dp = 0; dp < plan.dp; ++dp)
      for (int m = 0; m < plan.num_microbatches; ++m)
        items[e][static_cast<std::size_t>(m)] += items_in(infos, e, microbatch_of(global, plan, dp, m));
  return items;
}

/// Which microbatches have a sample in any of these replicas; nothing where all are computed.
std::vector<bool> texts_of(const RankBatch& batch, const std::vector<double>& bad, const plan::Plan& plan,
                           Range replicas) {
  if (!batch.leaves_out_empty) return {};
  std::vector<bool> out(static_cast<std::size_t>(plan.num_microbatches));
  for (auto dp = replicas.begin; dp < replicas.end; ++dp)
    for (std::size_t m = 0; m < out.size(); ++m) {
      const Range in = microbatch_of(batch.global, plan, static_cast<int>(dp), static_cast<int>(m));
      for (auto i = in.begin; i < in.end; ++i)
        if (const auto at = static_cast<std::size_t>(i); batch.global.samples[at] >= 0 && bad[at] == 0)
          out[m] = true;
    }
  return out;
}

/// Of the samples in `range` (of the block), one after the other.
std::vector<catalog::Extents> extents_in(const RankBatch& batch, std::size_t encoder, Range range) {
  std::vector<catalog::Extents> out;
  for (auto i = range.begin; i < range.end; ++i) {
    const dataio::SampleExtents& of = batch.extents[static_cast<std::size_t>(i)];
    if (!of.empty()) out.insert(out.end(), of[encoder].begin(), of[encoder].end());
  }
  return out;
}

/// The items of the samples in `range` (of the block) as an encoder's rank takes them; undefined if there are
/// none.
at::Tensor stack_media(const std::vector<std::vector<dataio::MediaItem>>& samples, Range range,
                       const plan::ItemLayout& layout, int cp, at::ScalarType dtype) {
  if (layout.items().empty()) return {};
  at::Tensor out = at::empty(layout.shape(-1, cp), at::kFloat);
  float* to = out.data_ptr<float>();
  std::size_t number = 0;
  for (auto i = range.begin; i < range.end; ++i)
    for (const dataio::MediaItem& item : samples[static_cast<std::size_t>(i)]) {
      // Of one size they come whole; else the places that this rank holds.
      const auto size = static_cast<std::int64_t>(item.values.size());
      const std::int64_t of_place = layout.one_size() ? 0 : size / layout.items()[number].places();
      const Range own = layout.places(number++, -1, cp);
      const Range part = layout.one_size() ? Range{0, size} : Range{own.begin * of_place, own.end * of_place};
      to = std::copy(item.values.begin() + part.begin, item.values.begin() + part.end, to);
    }
  return out.to(dtype);
}

/// The rank's place among those that share the encoder's tokens.
int cp_in(const plan::RankPlan& where, std::size_t encoder) {
  for (const plan::Part& part : where.parts)
    if (part.modality == static_cast<int>(encoder)) return part.cp;
  return 0;
}

/// One of a row's lists for the samples in `range` as [b, t]; `fill` where the row is empty.
at::Tensor stack_rows(const std::vector<dataio::TextRow>& rows, Range range, std::int64_t length,
                      std::vector<std::int64_t> dataio::TextRow::* list, std::int64_t fill) {
  at::Tensor out = at::full({range.size(), length}, fill, at::kLong);
  std::int64_t* to = out.data_ptr<std::int64_t>();
  for (auto i = range.begin; i < range.end; ++i, to += length) {
    const auto& values = rows[static_cast<std::size_t>(i)].*list;
    std::copy(values.begin(), values.end(), to);
  }
  return out;
}

template <typename T>
std::span<const T> part_of(const std::vector<T>& block, Range range) {
  return std::span(block).subspan(static_cast<std::size_t>(range.begin),
                                  static_cast<std::size_t>(range.size()));
}

/// The text of microbatch m, if this rank has it.
std::span<const dataio::TextRow> rows_of(const RankBatch& batch, std::size_t m) {
  return batch.rows.empty() ? std::span<const dataio::TextRow>() : part_of(batch.rows, batch.microbatches[m]);
}

plan::TokenLayout layout_of(const RankBatch& batch, std::size_t m, const plan::Plan& plan,
                            const catalog::Modalities& modalities) {
  return lay_out(rows_of(batch, m), part_of(batch.extents, batch.microbatches[m]), plan, modalities);
}

/// Bad samples become empty: no text, no media, on every rank.
std::int64_t drop_bad(RankBatch& batch, const std::vector<double>& bad, const plan::Plan& plan,
                      const catalog::Modalities& modalities) {
  std::int64_t dropped = 0;
  for (std::size_t i = 0; i < batch.infos.size(); ++i) {
    if (bad[i] == 0) continue;
    ++dropped;
    for (int& n : batch.infos[i].items) n = 0;
    const auto position = static_cast<std::int64_t>(i);
    if (position < batch.block.begin || position >= batch.block.end) continue;
    const auto at = static_cast<std::size_t>(position - batch.block.begin);
    if (!batch.rows.empty()) batch.rows[at] = {};
    batch.extents[at].clear();
    for (auto& samples : batch.media)
      if (!samples.empty()) samples[at].clear();
  }
  for (std::size_t m = 0; m < batch.placed.size(); ++m) {
    const Range in = batch.microbatches[m];
    const auto first = bad.begin() + batch.block.begin + in.begin;
    if (std::any_of(first, first + in.size(), [](double each) { return each != 0; }))
      batch.placed[m] = {layout_of(batch, m, plan, modalities)};
  }
  return dropped;
}

/// Cut items of the encoders for which this rank speaks: of those that read the same, one does.
std::int64_t cut_items(const RankBatch& batch, const plan::Plan& plan, const plan::RankPlan& where) {
  std::int64_t cut = 0;
  for (const plan::Part& part : where.parts) {
    const auto e = static_cast<std::size_t>(part.modality);
    const int stage = plan.stages[static_cast<std::size_t>(part.stage)].stage_in_modality;
    if (stage != 0 || part.tp != 0 || part.cp != 0 || e >= batch.media.size()) continue;
    for (const auto& items : batch.media[e])
      cut +=
          std::count_if(items.begin(), items.end(), [](const dataio::MediaItem& item) { return item.cut; });
  }
  return cut;
}

/// Pairs that tokens see within a window, or 0.
double visible_pairs(const RankBatch& batch, config::AttentionMask mask, std::int64_t window) {
  double pairs = 0;
  if (mask == config::AttentionMask::causal) {
    for (const auto& row : batch.rows) {
      const auto length = static_cast<double>(row.length);
      const double seen = window > 0 ? std::min(length, static_cast<double>(window)) : length;
      pairs += seen * seen / 2 + (length - seen) * seen;
    }
    return pairs;
  }
  for (const pipeline::PlacedTokens& placed : batch.placed) {
    const auto seen = plan::visible_keys(placed.layout.pattern(window));
    pairs += static_cast<double>(std::accumulate(seen.begin(), seen.end(), std::int64_t{0}));
  }
  return pairs;
}

/// Of the LLM's layers on average.
double visible_pairs(const RankBatch& batch, const catalog::Modality& llm) {
  double pairs = 0;
  for (const auto& [window, share] : catalog::window_shares(llm.spec))
    pairs += share * visible_pairs(batch, llm.attention_mask, window);
  return pairs;
}

/// Whether a rank holds the LLM's first or last stage.
bool takes_text(const plan::Plan& plan, const plan::RankPlan& rank) {
  const plan::ModalityPlan& llm = plan.llm();
  return std::any_of(rank.parts.begin(), rank.parts.end(), [&](const plan::Part& part) {
    return part.stage == llm.first_stage || part.stage == llm.last_stage();
  });
}

/// What a rank of the LLM takes of a microbatch's text.
models::Text text_of(const RankBatch& batch, const plan::Plan& plan, const catalog::Modalities& modalities,
                     std::size_t m, const std::vector<plan::FeatureRoute>& routes, int cp,
                     std::int64_t pad_id) {
  const auto stack = [&](std::vector<std::int64_t> dataio::TextRow::* list, std::int64_t fill) {
    return stack_rows(batch.rows, batch.microbatches[m], plan.sequence_length, list, fill);
  };
  models::Text text = models::make_text(stack(&dataio::TextRow::ids, pad_id),
                                        stack(&dataio::TextRow::labels, dataio::kIgnoreLabel), routes.size(),
                                        modalities.back().spec.vocab_size);
  for (std::size_t e = 0; e < routes.size(); ++e) {
    const auto& arriving = routes[e].arriving[static_cast<std::size_t>(cp)];
    text.placeholders[e] = text.placeholders[e].index_select(0, models::index_tensor(arriving));
  }
  const plan::TokenLayout& layout = batch.placed.at(m).layout;
  return layout.is_plain() ? text : models::take_tokens(text, layout.held(cp));
}

/// Which of the tokens that ranks hold are no padding; undefined where none is.
at::Tensor counted(const plan::TokenLayout& layout) {
  if (!layout.holds_padding()) return {};
  at::Tensor out = at::full({layout.count(0)}, false, at::kBool);
  bool* to = out.data_ptr<bool>();
  for (const Range& row : layout.rows()) std::fill(to + row.begin, to + row.end, true);
  return out;
}

/// The names of the items' tokens that rank `cp` holds: in each sample they are counted over its items.
/// `rows`: of the microbatch in the block.
at::Tensor names_of_items(const RankBatch& batch, std::size_t encoder, const plan::ItemLayout& layout,
                          Range rows, int cp) {
  std::vector<std::int64_t> names;
  std::size_t item = 0;
  for (auto row = rows.begin; row < rows.end; ++row) {
    std::int64_t before = 0;
    for (std::size_t n = extents_in(batch, encoder, {row, row + 1}).size(); n > 0; --n) {
      const Range own = layout.tokens(item, cp);
      for (auto t = own.begin; t < own.end; ++t)
        names.push_back(nn::row_name(batch.block.begin + row, before + t));
      before += layout.tokens(item++);
    }
  }
  return models::index_tensor(names);
}

/// The same of the text's tokens. `first`: of the microbatch's samples in the global batch.
at::Tensor names_of_text(const plan::TokenLayout& layout, std::int64_t first, int cp) {
  std::vector<std::int64_t> names;
  for (const std::int64_t token : layout.held(cp)) {
    const plan::TokenPlace in = layout.place(token);
    names.push_back(nn::row_name(first + in.row, in.place));
  }
  return models::index_tensor(names);
}

/// Of the modalities of this rank whose adapters drop some of what they take.
std::vector<std::vector<at::Tensor>> names_of(const RankBatch& batch,
                                              const std::vector<std::vector<plan::ItemLayout>>& items,
                                              const catalog::Modalities& modalities,
                                              const plan::RankPlan& where) {
  std::vector<std::vector<at::Tensor>> out(modalities.size());
  for (const plan::Part& part : where.parts) {
    const auto modality = static_cast<std::size_t>(part.modality);
    const auto& lora = modalities[modality].lora;
    if (!lora || lora->dropout == 0) continue;
    out[modality].clear();
    for (std::size_t m = 0; m < batch.microbatches.size(); ++m) {
      const Range rows = batch.microbatches[m];
      out[modality].push_back(
          modality < items.size()
              ? names_of_items(batch, modality, items[modality][m], rows, part.cp)
              : names_of_text(batch.placed.at(m).layout, batch.block.begin + rows.begin, part.cp));
    }
  }
  return out;
}

/// Adds what microbatch m brings to this rank's stages.
void add_microbatch(const RankBatch& batch, const plan::Plan& plan, const catalog::Modalities& modalities,
                    const plan::RankPlan& where, std::size_t m, std::int64_t pad_id, at::ScalarType dtype,
                    pipeline::StepInputs& inputs) {
  const Range samples = batch.microbatches[m];
  const plan::Part& last = where.parts.back();
  std::vector<plan::ItemLayout> layouts;
  for (std::size_t e = 0; e + 1 < modalities.size(); ++e) {
    layouts.emplace_back(modalities[e], plan.modalities[e].sp, extents_in(batch, e, samples));
    if (!batch.media[e].empty())
      inputs.media[e].push_back(stack_media(batch.media[e], samples, layouts.back(), cp_in(where, e), dtype));
  }
  const plan::TokenLayout& text = batch.placed[m].layout;
  const auto routes = route_microbatch(layouts, rows_of(batch, m), text, plan);
  if (plan.llm().fp8) inputs.counted.push_back(counted(text));
  if (takes_text(plan, where))
    inputs.text.push_back(text_of(batch, plan, modalities, m, routes, last.cp, pad_id));
  for (std::size_t e = 0; e < layouts.size(); ++e) {
    if (last.modality == static_cast<int>(e) && plan.llm().sp > 1)
      inputs.leaving[e].push_back(models::index_tensor(routes[e].leaving[static_cast<std::size_t>(last.cp)]));
    inputs.routes[e].push_back(routes[e]);
    inputs.items[e].push_back(std::move(layouts[e]));
  }
}

/// Counts the work of the step.
void count(const RankBatch& batch, const plan::Plan& plan, const catalog::Modalities& modalities,
           const plan::RankPlan& where, Step& step) {
  step.cut = cut_items(batch, plan, where);
  for (const dataio::TextRow& row : batch.rows) {
    const auto length = static_cast<double>(row.length);
    step.cut_texts += row.cut ? 1 : 0;
    step.tokens += row.length;
    step.token_pairs += length * length;
  }
  step.visible_pairs = visible_pairs(batch, modalities.back());
  for (std::size_t e = 0; e < step.inputs.items.size(); ++e)
    for (const plan::ItemLayout& layout : step.inputs.items[e])
      for (const catalog::Extents& item : layout.items()) step.items += plan::item_flops(modalities[e], item);
}

}  // namespace

Range block_of(const plan::Plan& plan, int dp) {
  const std::int64_t size = static_cast<std::int64_t>(plan.microbatch_size) * plan.num_microbatches;
  return {dp * size, (dp + 1) * size};
}

Needs needs_of(const plan::Plan& plan, const catalog::Modalities& modalities, int rank) {
  const plan::RankPlan& where = plan.ranks[static_cast<std::size_t>(rank)];
  const int llm = static_cast<int>(plan.modalities.size()) - 1;
  const plan::ModalityPlan& sizes = plan.llm();
  const bool looks = !plan::lies_plain(plan::text_split(plan), modalities) || sizes.fp8;
  const bool places = sizes.sp > 1 || (looks && where.parts.back().modality == llm);
  Needs needs{places || takes_text(plan, where), std::vector<bool>(static_cast<std::size_t>(llm), false)};
  for (const plan::Part& part : where.parts) {
    const int stage = plan.stages[static_cast<std::size_t>(part.stage)].stage_in_modality;
    if (part.modality != llm && stage == 0) needs.media[static_cast<std::size_t>(part.modality)] = true;
  }
  return needs;
}

RankBatch read_batch(const dataio::Dataset& dataset, dataio::GlobalBatch global, const plan::Plan& plan,
                     const catalog::Modalities& modalities, const Needs& needs, int rank, int workers) {
  RankBatch out;
  const std::size_t num_encoders = modalities.size() - 1;
  out.global = std::move(global);
  const std::vector<std::int64_t>& samples = out.global.samples;
  for (int m = 0; m < plan.num_microbatches; ++m)
    out.microbatches.push_back(
        microbatch_of(out.global, plan, plan.ranks[static_cast<std::size_t>(rank)].dp, m));
  out.block = {out.microbatches.front().begin, out.microbatches.back().end};
  for (Range& each : out.microbatches) each = {each.begin - out.block.begin, each.end - out.block.begin};
  out.bad.assign(samples.size(), 0);
  const auto block_size = static_cast<std::size_t>(out.block.size());
  if (needs.text) out.rows.resize(block_size);
  out.extents.resize(block_size);
  out.media.resize(num_encoders);
  for (std::size_t e = 0; e < needs.media.size(); ++e)
    if (needs.media[e]) out.media[e].resize(block_size);
  for (const std::int64_t sample : samples)
    out.infos.push_back(sample < 0 ? dataio::SampleInfo{std::vector<int>(num_encoders, 0)}
                                   : dataset.info(sample));
  const auto begin = static_cast<std::size_t>(out.block.begin);
  std::vector<std::string> problems(block_size);
  parallel_for(block_size, workers, [&](std::size_t at) {
    const std::int64_t sample = samples[begin + at];
    if (sample >= 0) problems[at] = read_sample(out, dataset, sample, at, needs, modalities);
  });
  for (std::size_t at = 0; at < block_size; ++at) {
    if (problems[at].empty()) continue;
    out.bad[begin + at] = 1;
    out.problems.push_back(std::move(problems[at]));
  }
  place_rows(out, plan, modalities, workers);
  return out;
}

void place_rows(RankBatch& batch, const plan::Plan& plan, const catalog::Modalities& modalities,
                int workers) {
  batch.placed.assign(static_cast<std::size_t>(plan.num_microbatches), {});
  parallel_for(batch.placed.size(), workers,
               [&](std::size_t m) { batch.placed[m].layout = layout_of(batch, m, plan, modalities); });
}

Step assemble(RankBatch batch, const std::vector<double>& bad, const plan::Plan& plan,
              const catalog::Modalities& modalities, int rank, std::int64_t pad_id, at::ScalarType dtype) {
  const plan::RankPlan& where = plan.ranks[static_cast<std::size_t>(rank)];
  const std::int64_t skipped = drop_bad(batch, bad, plan, modalities);
  const std::size_t encoders = modalities.size() - 1;
  pipeline::StepInputs inputs;
  inputs.items.resize(encoders);
  inputs.media.resize(encoders);
  inputs.routes.resize(encoders);
  inputs.leaving.resize(encoders);
  for (std::size_t m = 0; m < batch.microbatches.size(); ++m)
    add_microbatch(batch, plan, modalities, where, m, pad_id, dtype, inputs);
  inputs.names = names_of(batch, inputs.items, modalities, where);

  std::vector<std::vector<int>> items(encoders);
  std::vector<bool> reached;
  for (std::size_t e = 0; e < encoders; ++e) {
    for (const plan::ItemLayout& layout : inputs.items[e])
      items[e].push_back(static_cast<int>(layout.items().size()));
    reached.push_back(items_in(batch.infos, e, {0, std::ssize(batch.infos)}) > 0);
  }
  reached.push_back(true);
  Step step{plan::Activity(plan, std::move(items), texts_of(batch, bad, plan, {where.dp, where.dp + 1})),
            plan::Activity(plan, items_of_anyone(batch.infos, batch.global, plan, encoders),
                           texts_of(batch, bad, plan, {0, plan.dp})),
            std::move(reached), std::move(inputs)};
  step.skipped = skipped;
  count(batch, plan, modalities, where, step);
  step.inputs.placed = std::move(batch.placed);
  return step;
}

void move_inputs(pipeline::StepInputs& inputs, at::Device device) {
  if (device.is_cpu()) return;
  const auto move = [&](at::Tensor& tensor) { tensor = nn::upload(tensor, device); };
  for (models::Text& text : inputs.text) {
    for (at::Tensor* each : {&text.ids, &text.target_rows, &text.targets, &text.target_samples}) move(*each);
    for (at::Tensor& rows : text.placeholders) move(rows);
  }
  for (at::Tensor& each : inputs.counted) move(each);
  for (auto* lists : {&inputs.media, &inputs.leaving, &inputs.names})
    for (auto& microbatches : *lists)
      for (at::Tensor& each : microbatches) move(each);
  for (pipeline::PlacedTokens& placed : inputs.placed)
    if (placed.tokens) placed.tokens = models::on_device(*placed.tokens, device);
}

}  // namespace cornstarch::train
