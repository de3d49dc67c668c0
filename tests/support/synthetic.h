#pragma once

#include <algorithm>

#include "cornstarch/base/random.h"
#include "cornstarch/base/text.h"
#include "cornstarch/catalog/module_kind.h"
#include "cornstarch/catalog/resolve.h"
#include "cornstarch/dataio/dataset.h"

namespace cornstarch::test {

/// Samples drawn at random from their number alone: texts of different lengths, zero to two media items of
/// every encoder (some samples none at all), of different sizes where the encoder takes these, some samples
/// without anything to learn.
class SyntheticDataset : public dataio::Dataset {
 public:
  struct Mix {
    bool media = true;        ///< false: a data set of pure text
    bool text_tail = false;   ///< the second half of every eight samples has no media
    bool no_targets = false;  ///< nothing to learn anywhere
  };

  SyntheticDataset(const catalog::Modalities& modalities, std::int64_t sequence_length, Mix mix)
      : modalities_(modalities), length_(sequence_length), mix_(mix) {}

  std::int64_t size() const override { return 1000; }
  std::int64_t pad_id() const override { return 0; }

  dataio::SampleInfo info(std::int64_t sample) const override {
    dataio::SampleInfo out;
    const bool bare = !mix_.media || (mix_.text_tail && sample % 8 >= 4) || sample % 5 == 4;
    for (std::size_t e = 0; e + 1 < modalities_.size(); ++e)
      out.items.push_back(bare ? 0 : static_cast<int>(below(sample, cat("items", e), 3)));
    return out;
  }

  Result<dataio::SampleExtents> extents(std::int64_t sample) const override {
    dataio::SampleExtents out;
    const auto items = info(sample).items;
    for (std::size_t e = 0; e < items.size(); ++e) {
      const auto fixed = catalog::fixed_extents(modalities_[e].spec);
      out.emplace_back();
      for (int i = 0; i < items[e]; ++i)
        out.back().push_back(fixed ? *fixed : drawn(sample, cat("size", e, "/", i), e));
    }
    return out;
  }

  Result<dataio::TextRow> text(std::int64_t sample) const override {
    dataio::TextRow row;
    const auto items = value_or_throw(extents(sample));
    const bool learnt = !mix_.no_targets && sample % 7 != 3;
    const Philox random(17, cat("text", sample));
    std::uint64_t draw = 0;
    const auto words = [&](std::int64_t n, bool label) {
      for (std::int64_t i = 0; i < n; ++i) {
        const auto id =
            1 + static_cast<std::int64_t>(random.uniform(draw++) *
                                          static_cast<double>(modalities_.back().spec.vocab_size - 1));
        row.ids.push_back(id);
        row.labels.push_back(label ? id : dataio::kIgnoreLabel);
      }
    };
    words(2, false);
    for (std::size_t e = 0; e < items.size(); ++e)
      for (const catalog::Extents& item : items[e]) {
        const auto rows = static_cast<std::size_t>(catalog::features_of(modalities_[e], item));
        row.ids.insert(row.ids.end(), rows, dataio::placeholder_id(static_cast<int>(e)));
        row.labels.insert(row.labels.end(), rows, dataio::kIgnoreLabel);
        words(1, false);
      }
    words(2 + below(sample, "answer", 5), learnt);
    row.length = static_cast<std::int64_t>(row.ids.size());
    if (row.length > length_) return fail(ExitCode::internal, "the synthetic sample is too long");
    row.ids.resize(static_cast<std::size_t>(length_), pad_id());
    row.labels.resize(static_cast<std::size_t>(length_), dataio::kIgnoreLabel);
    return row;
  }

  /// Up to the first token that is learnt.
  Result<dataio::Question> question(std::int64_t sample) const override {
    auto row = text(sample);
    if (!row) return tl::unexpected(row.error());
    const auto answer = std::find_if(row->labels.begin(), row->labels.end(),
                                     [](std::int64_t label) { return label != dataio::kIgnoreLabel; });
    if (answer == row->labels.end()) return dataio::Dataset::question(sample);
    row->length = answer - row->labels.begin();
    row->ids.resize(static_cast<std::size_t>(row->length));
    row->labels.assign(row->ids.size(), dataio::kIgnoreLabel);
    return dataio::Question{std::move(*row), {}, {}};
  }

  Result<std::vector<dataio::MediaItem>> media(std::int64_t sample, int encoder) const override {
    std::vector<dataio::MediaItem> out;
    const auto e = static_cast<std::size_t>(encoder);
    const dataio::SampleExtents all = value_or_throw(this->extents(sample));
    for (const catalog::Extents& extents : all[e]) {
      catalog::Shape shape = modalities_[e].spec.item_shape;
      if (!catalog::fixed_extents(modalities_[e].spec)) shape.insert(shape.begin(), extents.places());
      const std::int64_t size = checked_numel(shape).value();
      const Philox random(23, cat("media", encoder, "/", sample, "/", out.size()));
      dataio::MediaItem item{{}, shape};
      for (std::int64_t k = 0; k < size; ++k)
        item.values.push_back(static_cast<float>(random.normal(static_cast<std::uint64_t>(k))));
      out.push_back(std::move(item));
    }
    return out;
  }

 private:
  std::int64_t merged(std::size_t encoder) const {
    return std::get<catalog::Projector>(modalities_[encoder].spec.modules.back().body).merged;
  }

  /// Up to six features; where these are squares of a grid, some items have two times.
  catalog::Extents drawn(std::int64_t sample, const std::string& what, std::size_t encoder) const {
    const catalog::ModelSpec& spec = modalities_[encoder].spec;
    const std::int64_t block = spec.patch_block, h = 1 + below(sample, what + "h", 3),
                       w = 1 + below(sample, what + "w", 2);
    if (block == 1) return {1, h, merged(encoder) * w};
    return {w == 1 ? 1 + below(sample, what + "t", 2) : 1, block * h, block * w};
  }

  static std::int64_t below(std::int64_t sample, const std::string& what, std::int64_t n) {
    return static_cast<std::int64_t>(Philox(11, cat(what, sample)).uniform(0) * static_cast<double>(n));
  }

  const catalog::Modalities& modalities_;
  std::int64_t length_;
  Mix mix_;
};

}  // namespace cornstarch::test
