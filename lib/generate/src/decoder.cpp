#include "cornstarch/generate/decoder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/token_ids.h"
#include "cornstarch/models/split_tokens.h"
#include "cornstarch/models/stage.h"
#include "cornstarch/models/weights.h"
#include "cornstarch/nn/upload.h"
#include "cornstarch/plan/item_layout.h"
#include "cornstarch/plan/text_layout.h"
#include "cornstarch/telemetry/progress.h"

namespace cornstarch::generate {
namespace {

/// Rotary tables are made for so many positions at a time.
constexpr std::int64_t kTable = 1024;

models::Stage whole(const catalog::Modality& modality, at::ScalarType dtype, at::Device device) {
  std::vector<int> modules(modality.spec.modules.size());
  std::iota(modules.begin(), modules.end(), 0);
  models::StageOptions options;
  options.dtype = dtype;
  options.device = device;
  options.draws = false;
  models::Stage stage(modality, modules, comm::alone()->world(), options);
  std::int64_t bytes = 0;
  for (const models::Parameter& p : stage.parameters()) bytes += static_cast<std::int64_t>(p.value.nbytes());
  telemetry::Progress reading(cat("reading weights of ", modality.name), bytes, telemetry::Progress::kBytes);
  models::FirstValues values(modality, 0);
  for (models::Parameter& p : stage.parameters()) {
    values.fill(p);
    reading.add(static_cast<std::int64_t>(p.value.nbytes()));
  }
  values.check();
  return stage;
}

}  // namespace

struct Decoder::Impl {
  Impl(const catalog::Modalities& all, at::ScalarType dtype_in, at::Device device_in)
      : modalities(all), dtype(dtype_in), device(device_in) {
    for (const catalog::Modality& modality : modalities) stages.push_back(whole(modality, dtype, device));
  }

  const catalog::Modalities& modalities;
  at::ScalarType dtype;
  at::Device device;
  std::vector<models::Stage> stages;

  // The sequence under way.
  nn::KeyValueCache cache;
  std::vector<std::int64_t> ids;
  dataio::SampleExtents extents;
  std::vector<at::Tensor> features;  // per encoder; undefined where it has no items
  std::int64_t position = 0;         // of the token to come

  const catalog::ModelSpec& llm() const { return modalities.back().spec; }

  /// What layers take of where tokens lie.
  models::Tokens tokens_of(const plan::TokenLayout& layout, const catalog::ModelSpec& spec) const {
    return models::on_device(models::split_tokens(layout, spec), device);
  }

  at::Tensor features_of(std::size_t encoder, const std::vector<dataio::MediaItem>& media) {
    if (media.empty()) return {};
    const plan::ItemLayout items(modalities[encoder], 1, extents[encoder]);
    at::Tensor in = at::empty(items.shape(-1, 0), at::kFloat);
    float* to = in.data_ptr<float>();
    const float* const end = to + in.numel();
    for (const dataio::MediaItem& item : media) {
      if (end - to < std::ssize(item.values))
        throw Failure(ExitCode::bad_data, "media are not of the size that they seemed to have");
      to = std::copy(item.values.begin(), item.values.end(), to);
    }
    return stages[encoder].forward(nn::upload(in.to(dtype), device),
                                   tokens_of(items.token_layout(), items.encoder()));
  }

  plan::TokenLayout layout_of_all() const {
    const plan::TextTokens row{ids, std::ssize(ids), extents};
    return plan::text_layout({&row, 1}, {.length = row.length}, modalities);
  }

  at::Tensor logits_of_last(const at::Tensor& hidden) {
    const at::Tensor row = hidden.select(1, hidden.size(1) - 1);
    return stages.back().logits(row).squeeze(0);
  }

  at::Tensor compute_all() {
    cache.clear();
    const at::Tensor row = models::index_tensor(ids).unsqueeze(0);
    models::Text text = models::make_text(row, at::full(row.sizes(), catalog::kIgnoreLabel, at::kLong),
                                          extents.size(), llm().vocab_size);
    text.ids = nn::upload(text.ids, device);
    for (at::Tensor& rows : text.placeholders) rows = nn::upload(rows, device);
    const plan::TokenLayout layout = layout_of_all();
    position = 0;
    for (const auto& part : layout.positions(0))
      for (const std::int64_t each : part) position = std::max(position, each + 1);
    models::Tokens tokens = tokens_of(layout, llm());
    tokens.cache = &cache;
    return logits_of_last(stages.back().transform(stages.back().embed(text, features), tokens));
  }

  /// Whether frequencies of the tokens before are others now.
  bool turns_all_anew() const {
    const auto n = std::ssize(ids);
    const bool noticed = catalog::notices_length(llm(), n);
    return noticed && (changes_always() || !catalog::notices_length(llm(), n - 1));
  }

  bool changes_always() const {
    for (const catalog::ModuleSpec& module : llm().modules) {
      const catalog::AttentionSpec* attention = catalog::attention_of(module);
      if (attention != nullptr && attention->rope &&
          attention->rope->type == catalog::RopeSpec::Type::dynamic)
        return true;
    }
    return false;
  }

  at::Tensor compute_last() {
    models::Text text;
    text.ids = nn::upload(models::index_tensor({ids.back()}).unsqueeze(0), device);
    models::Tokens tokens;
    tokens.positions = nn::upload(models::index_tensor({position}), device);
    tokens.length = table_length();
    if (const auto n = std::ssize(ids); catalog::notices_length(llm(), n))
      tokens.rows = {nn::upload(at::zeros({1}, at::kLong), device), {n}};
    ++position;
    tokens.cache = &cache;
    return logits_of_last(stages.back().transform(stages.back().embed(text, {}), tokens));
  }

  /// Beyond the token's position, in steps; where lengths count, only as far as they do not.
  std::int64_t table_length() const {
    const std::int64_t n = position + 1, wide = (n + kTable - 1) / kTable * kTable;
    return catalog::notices_length(llm(), wide) ? n : wide;
  }
};

Decoder::Decoder(const catalog::Modalities& modalities, at::ScalarType dtype, at::Device device)
    : impl_(std::make_unique<Impl>(modalities, dtype, device)) {}
Decoder::~Decoder() = default;

at::Tensor Decoder::begin(const dataio::Prompt& prompt) {
  const at::NoGradGuard no_grad;
  if (std::ssize(prompt.ids) >= max_length())
    throw Failure(ExitCode::usage,
                  cat("the prompt is ", prompt.ids.size(), " tokens long, and the model has ", max_length(),
                      " positions: none is left for an answer"),
                  "ask something shorter");
  if (prompt.ids.empty()) throw Failure(ExitCode::usage, "the prompt is empty");
  impl_->ids = prompt.ids;
  impl_->extents = prompt.extents;
  impl_->features.clear();
  for (std::size_t e = 0; e < prompt.media.size(); ++e)
    impl_->features.push_back(impl_->features_of(e, prompt.media[e]));
  return impl_->compute_all();
}

at::Tensor Decoder::go_on(std::int64_t id) {
  const at::NoGradGuard no_grad;
  if (length() >= max_length()) throw Failure(ExitCode::internal, "no position is left");
  impl_->ids.push_back(id);
  return impl_->turns_all_anew() ? impl_->compute_all() : impl_->compute_last();
}

std::int64_t Decoder::length() const { return std::ssize(impl_->ids); }
std::int64_t Decoder::max_length() const { return impl_->llm().max_positions; }

}  // namespace cornstarch::generate
