#include "cornstarch/dataio/inspect.h"

#include <algorithm>
#include <optional>

#include "cornstarch/base/parallel.h"
#include "cornstarch/dataio/probe.h"

namespace cornstarch::dataio {
namespace {

constexpr std::size_t kMostProblems = 20;
constexpr std::size_t kAtOnce = 32;  ///< samples for each thread

/// What is kept of a sample, its media not.
struct Look {
  struct Item {
    MediaFile file;
    std::int64_t features = 0;
    bool cut = false;
  };
  std::optional<Error> problem;
  std::int64_t tokens = 0, features = 0, learnt = 0;
  bool cut = false;
  std::vector<std::vector<Item>> items;  ///< per encoder
};

class Looker {
 public:
  Looker(const ConversationDataset& data, const ConversationOptions& options)
      : data_(data), options_(options) {}

  Look operator()(std::int64_t sample) const {
    Look out;
    auto row = data_.whole_text(sample);
    if (!row) return {row.error(), 0, 0, 0, false, {}};
    out.tokens = row->length;
    out.features = std::ranges::count_if(row->ids, catalog::is_placeholder);
    out.learnt = row->length - std::ranges::count(row->labels, kIgnoreLabel);
    out.cut = row->length > options_.sequence_length;
    if (out.cut)
      if (const auto fits = data_.text(sample); !fits) out.problem = fits.error();
    for (std::size_t e = 0; e < options_.media.size() && !out.problem; ++e) look_at(sample, e, out);
    return out;
  }

 private:
  void look_at(std::int64_t sample, std::size_t e, Look& out) const {
    const auto encoder = static_cast<int>(e);
    std::vector<Look::Item>& items = out.items.emplace_back();
    auto files = data_.files(sample, encoder);
    const auto made = files ? data_.media(sample, encoder) : tl::unexpected(files.error());
    if (!made) {
      out.problem = made.error();
      return;
    }
    for (std::size_t i = 0; i < made->size(); ++i)
      items.push_back(
          {std::move((*files)[i]), options_.media[e].features((*files)[i].extents), (*made)[i].cut});
  }

  const ConversationDataset& data_;
  const ConversationOptions& options_;
};

void count(Seen& seen, const std::string& place) {
  if (seen.samples++ == 0) seen.first = place;
}

void take(const Look& look, const std::string& place, std::int64_t sequence_length, Inspection& out) {
  ++out.looked_at;
  if (look.problem) {
    count(out.bad, place);
    if (out.problems.size() < kMostProblems) out.problems.push_back(*look.problem);
    return;
  }
  out.tokens.add(static_cast<double>(look.tokens));
  out.text_tokens.add(static_cast<double>(look.tokens - look.features));
  out.learnt.add(static_cast<double>(look.learnt));
  if (look.cut) {
    count(out.cut, place);
    out.tokens_cut += look.tokens - sequence_length;
  }
  for (std::size_t e = 0; e < look.items.size(); ++e) {
    Inspection::Encoder& encoder = out.encoders[e];
    encoder.items.add(static_cast<double>(look.items[e].size()));
    if (std::ranges::any_of(look.items[e], &Look::Item::cut)) count(encoder.cut, place);
    for (const Look::Item& item : look.items[e]) {
      if (item.file.seconds) encoder.seconds.add(*item.file.seconds);
      if (item.file.width > 0) encoder.width.add(item.file.width);
      if (item.file.height > 0) encoder.height.add(item.file.height);
      encoder.places.add(static_cast<double>(item.file.extents.places()));
      encoder.features.add(static_cast<double>(item.features));
    }
  }
}

}  // namespace

Inspection inspect(const ConversationDataset& data, std::int64_t limit, std::uint64_t seed, int workers,
                   const std::function<void(std::int64_t)>& done) {
  const ConversationOptions& options = data.options();
  Inspection out;
  out.samples = data.size();
  for (const MediaSource& source : options.media) {
    out.encoders.emplace_back();
    out.encoders.back().placeholder = source.placeholder;
    out.encoders.back().kind = source.kind;
  }
  const std::int64_t all = std::min(limit, data.size());
  const std::vector<std::int64_t> some =
      all < data.size() ? some_samples(data.size(), all, seed) : std::vector<std::int64_t>();
  const auto sample_at = [&](std::int64_t i) { return some.empty() ? i : some[static_cast<std::size_t>(i)]; };
  const Looker look(data, options);
  std::vector<Look> looks(kAtOnce * static_cast<std::size_t>(std::max(workers, 1)));
  for (std::int64_t begin = 0; begin < all; begin += std::ssize(looks)) {
    const auto n = static_cast<std::size_t>(std::min(std::ssize(looks), all - begin));
    parallel_for(n, workers,
                 [&](std::size_t i) { looks[i] = look(sample_at(begin + static_cast<std::int64_t>(i))); });
    for (std::size_t i = 0; i < n; ++i)
      take(looks[i], data.place(sample_at(begin + static_cast<std::int64_t>(i))), options.sequence_length,
           out);
    if (done) done(static_cast<std::int64_t>(n));
  }
  return out;
}

}  // namespace cornstarch::dataio
